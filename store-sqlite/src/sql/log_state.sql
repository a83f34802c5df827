SELECT head, recorded_us FROM log
