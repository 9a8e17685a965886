"""Starting a training in processes of their own, which outlive every viewer."""
