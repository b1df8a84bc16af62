//! The real controller's watches and dispatcher on the storage, without a socket, in virtual time.
