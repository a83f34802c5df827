//! The instances of sagas, for whoever looks after them.
