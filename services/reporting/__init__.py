"""reporting: counts. Folds four topics into report tables, exact to the cent."""
