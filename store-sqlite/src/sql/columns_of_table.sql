SELECT name, type, "notnull" FROM pragma_table_info(?1)
