//! The sandbox answers as the real server does.

mod controller;
mod facts;
