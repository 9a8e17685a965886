"""What a number means: plain numpy estimators, and the catalog that explains every metric.

Each estimator returns its uncertainty, or the reason it has none, beside its value. The catalog (`catalog`)
and the names of modules (`modules`) stay free of numpy, because quick commands use them.
"""
