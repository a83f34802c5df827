UPDATE log SET head = ?1, recorded_us = ?2
