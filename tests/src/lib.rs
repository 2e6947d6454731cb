//! Tests of the whole system live beside this file as integration tests.
