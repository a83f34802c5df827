-- A plan that was made while a table was small stays: no scan of it may be one.
SELECT set_config('lock_timeout', $1, false), set_config('enable_seqscan', 'off', false),
  CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
