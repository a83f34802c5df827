ROLLBACK TO a_commit
