//! Which protocol a connection speaks: 3 with everybody, 4 with nodes and probes that offer it.
//!
//! Protocol 4 promises an operator far more methods than there are, so an operator is never
//! answered 4. What nodes and probes use of it is the same under both numbers.

use gateway_schemas::connect::ConnectParams;

/// The protocol of operators, and the lowest one spoken.
const FIRST: u32 = 3;
/// The highest one, for nodes and probes.
const NEWEST: u32 = 4;

/// The highest protocol that both sides speak.
///
/// # Errors
/// The protocol that this kind of client should have offered.
pub(super) fn spoken(params: &ConnectParams) -> Result<u32, u32> {
    let newest = if is_node(params) || params.client.mode == "probe" {
        NEWEST
    } else {
        FIRST
    };
    let offered = params.min_protocol..=params.max_protocol;
    let best = (FIRST..=newest)
        .rev()
        .find(|p| offered.contains(&u64::from(*p)));
    best.ok_or(newest)
}

fn is_node(params: &ConnectParams) -> bool {
    params.role.as_deref() == Some("node") && params.client.mode == "node"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn params(range: (u64, u64), role: &str, mode: &str) -> ConnectParams {
        serde_json::from_value(serde_json::json!({
            "minProtocol": range.0, "maxProtocol": range.1, "role": role,
            "client": { "id": "test", "version": "1", "platform": "linux", "mode": mode },
        }))
        .unwrap()
    }

    #[test]
    fn operators_speak_3_nodes_and_probes_what_they_offer() {
        for (range, role, mode, expected) in [
            ((3, 3), "operator", "cli", Ok(3)),
            ((1, 9), "operator", "ui", Ok(3)),
            ((4, 4), "operator", "cli", Err(3)),
            ((1, 2), "operator", "cli", Err(3)),
            ((3, 3), "node", "node", Ok(3)),
            ((4, 4), "node", "node", Ok(4)),
            ((3, 4), "node", "node", Ok(4)),
            ((5, 9), "node", "node", Err(4)),
            ((4, 4), "node", "cli", Err(3)),
            ((3, 4), "operator", "probe", Ok(4)),
            ((3, 3), "operator", "probe", Ok(3)),
            // Upside down: nothing lies between.
            ((4, 3), "node", "node", Err(4)),
        ] {
            let params = params(range, role, mode);
            assert_eq!(spoken(&params), expected, "{range:?} {role} {mode}");
        }
    }
}
