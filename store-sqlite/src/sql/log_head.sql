SELECT id, head FROM log
