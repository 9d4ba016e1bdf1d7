//! What whole-server tests share: starting programs of the workspace, and stopping them by their id.
