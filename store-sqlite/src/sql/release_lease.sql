UPDATE lease_rows SET holder = '', until_us = ?3, is_backed = 0
WHERE name = ?1 AND holder = ?2 AND holder <> ''
