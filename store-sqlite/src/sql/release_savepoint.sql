RELEASE a_commit
