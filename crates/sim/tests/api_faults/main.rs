//! Each fault of the API, of webhooks and of other people, seen by a client of the face.

mod admission;
mod by_hand;
mod people;
mod replicas;
mod requests;
