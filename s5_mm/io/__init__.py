"""Files, locks and processes; knows neither models nor data sets."""
