SELECT DISTINCT holder FROM lease_rows WHERE holder > ''
