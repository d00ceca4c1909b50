//! Silent replies: what a model answers when it has nothing to say.
//!
//! Called by the run while text streams in and once more with the whole text. Pure. Promises that
//! no beginning of a silent reply is shown before the whole text decides.

/// The whole reply of a model that does not want to answer.
pub const NO_REPLY: &str = "NO_REPLY";
/// The whole reply of a heartbeat that found nothing to tell.
pub const HEARTBEAT_OK: &str = "HEARTBEAT_OK";

/// True while the text so far may still become a silent reply; nothing is shown until then.
pub fn may_become_silent(text: &str) -> bool {
    let text = text.trim();
    NO_REPLY.starts_with(text) || HEARTBEAT_OK.starts_with(text)
}

/// True when the whole reply is silent: neither delivered nor shown. In a heartbeat's run the
/// acknowledgement may stand beside so many other characters.
pub fn is_silent(text: &str, heartbeat: Option<usize>) -> bool {
    let text = text.trim();
    if text.is_empty() || text == NO_REPLY || text == HEARTBEAT_OK {
        return true;
    }
    let at_edge = text.starts_with(HEARTBEAT_OK) || text.ends_with(HEARTBEAT_OK);
    let beside = text.chars().count().saturating_sub(HEARTBEAT_OK.len());
    at_edge && heartbeat.is_some_and(|most| beside <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_held_back() {
        for text in ["", "N", "NO", "NO_", " NO_REPLY \n", "H", "HEARTBEAT_OK"] {
            assert!(may_become_silent(text), "{text:?}");
        }
        for text in ["No", "NOT", "NO_REPLY, really", "Hello", "yes"] {
            assert!(!may_become_silent(text), "{text:?}");
        }
    }

    #[test]
    fn the_whole_text_decides() {
        assert!(is_silent(" NO_REPLY\n", None));
        assert!(is_silent("HEARTBEAT_OK", None));
        assert!(!is_silent("NO", None));
        assert!(!is_silent("HEARTBEAT_OK all quiet", None));
        assert!(is_silent("HEARTBEAT_OK all quiet", Some(300)));
        assert!(is_silent("All quiet. HEARTBEAT_OK", Some(300)));
        assert!(!is_silent(
            &format!("HEARTBEAT_OK {}", "x".repeat(400)),
            Some(300)
        ));
    }
}
