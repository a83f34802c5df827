UPDATE lease_rows SET until_us = ?2, is_backed = 0 WHERE holder = ?1
