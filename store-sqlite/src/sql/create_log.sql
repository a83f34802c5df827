INSERT INTO log (one, id, head, recorded_us) VALUES (1, ?1, 0, ?2)
