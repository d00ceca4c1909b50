//! From the journal to the agent and back: who may write, which session, which answer.

pub mod policy;
