"""What every layer may use: settings, types, pagination, and a package for each concern."""
