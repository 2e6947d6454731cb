//! What nodes do with pods that tests make and place by hand, beyond what was recorded.

mod by_hand;
mod faults;
mod pods;
mod requests;
