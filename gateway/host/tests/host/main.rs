//! The host from outside: guests as text, jobs in, outcomes out.

mod gpio;
mod guest;

mod hostile;
mod imports;
mod isolation;
mod loading;
mod send;
mod slices;
mod state;
mod tight;
