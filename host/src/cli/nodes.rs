//! `nodes …`: devices that do things for the gateway.

use gateway_schemas::nodes::{NodeInvoked, NodeList, NodeRow};
use serde_json::{Value, json};

use super::args::{NodeArgs, NodeInvokeArgs, NodesCommand};
use super::client::{Access, Client, read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::ago;
use crate::clock::Clock;
use crate::spell::millis;

const LIST: &str = "node.list";
const INVOKE: &str = "node.invoke";
/// So much of an id tells nodes apart.
const ID_CHARS: usize = 12;

/// Runs one of the commands.
///
/// # Errors
/// What the gateway or the node says, or what stood in the way.
pub fn run(command: &NodesCommand, screen: &Screen) -> CliResult<()> {
    let access = command.reach().0.own_access();
    match command {
        NodesCommand::List(_) => list(&access, screen),
        NodesCommand::Describe(args) => describe(args, &access, screen),
        NodesCommand::Invoke(args) => invoke(args, access, screen),
    }
}

fn list(access: &Access, screen: &Screen) -> CliResult<()> {
    let payload = with_gateway(access, async |client| {
        client.request(LIST, &json!({})).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let list: NodeList = read_answer(LIST, &payload)?;
    if list.nodes.is_empty() {
        screen.line("no nodes: start the app on a phone, or `openclaw qr` shows how to pair one");
        return Ok(());
    }
    let mut table = Table::new([
        Column::new("Node"),
        Column::new("Id").solid(),
        Column::new("State").solid(),
        Column::new("Platform").optional(1),
        Column::new("Commands").optional(2),
    ]);
    for node in &list.nodes {
        let state = match (node.connected, node.paired) {
            (true, _) => Cell::painted("connected", Paint::Good),
            (false, true) => Cell::painted("away", Paint::Faint),
            (false, false) => "unknown".to_owned().into(),
        };
        let cells: [Cell; 5] = [
            name(node).into(),
            short(&node.node_id).into(),
            state,
            node.platform.clone().unwrap_or_default().into(),
            node.commands.join(" ").into(),
        ];
        table.row(cells);
    }
    screen.write(&table.render(screen));
    Ok(())
}

fn name(node: &NodeRow) -> String {
    let name = node.display_name.clone();
    name.unwrap_or_else(|| short(&node.node_id))
}

fn short(id: &str) -> String {
    id.chars().take(ID_CHARS).collect()
}

fn describe(args: &NodeArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    let node = with_gateway(access, async |client| found(client, &args.node).await)?;
    if screen.json_wanted() {
        screen.value_json(&node);
        return Ok(());
    }
    let since = ago(node.connected_at_ms, Clock::system().now_ms());
    let words = |words: &[String]| match words {
        [] => "none".to_owned(),
        words => words.join(" "),
    };
    let permissions = node.permissions.iter().flatten();
    let permissions: Vec<String> = permissions
        .map(|(name, given)| format!("{name} {}", if *given { "yes" } else { "no" }))
        .collect();
    screen.line(screen.paint(Paint::Strong, &name(&node)));
    for (label, text) in [
        ("id", node.node_id.clone()),
        (
            "state",
            if node.connected {
                format!("connected {since}")
            } else {
                "away".into()
            },
        ),
        ("platform", node.platform.clone().unwrap_or_default()),
        ("version", node.version.clone().unwrap_or_default()),
        ("can do", words(&node.caps)),
        ("commands", words(&node.commands)),
        ("permissions", words(&permissions)),
    ] {
        if !text.is_empty() {
            screen.line(format!("  {label:<12} {}", super::text::clean(&text)));
        }
    }
    Ok(())
}

fn invoke(args: &NodeInvokeArgs, mut access: Access, screen: &Screen) -> CliResult<()> {
    let params: Value = serde_json::from_str(&args.params).map_err(|cause| {
        CliError::usage(format!("--params is not JSON: {cause}"))
            .fix("write it like --params '{\"bins\":[\"git\"]}'")
    })?;
    // The node's time is beside that of the gateway.
    access.timeout = access.timeout.map(|own| own + args.invoke_timeout);
    let payload = with_gateway(&access, async |client| {
        let node = found(client, &args.node.node).await?;
        let request = json!({
            "nodeId": node.node_id, "command": args.command, "params": params,
            "timeoutMs": millis(args.invoke_timeout), "idempotencyKey": Clock::system().uuid(),
        });
        client.request(INVOKE, &request).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let done: NodeInvoked = read_answer(INVOKE, &payload)?;
    match done.payload {
        Some(answer) => screen.line(super::text::clean(&format!("{answer:#}"))),
        None => screen.line(format!(
            "{}: no answer to show",
            screen.paint(Paint::Good, "done")
        )),
    }
    Ok(())
}

/// The node that is meant: by id, by the beginning of one, or by name.
async fn found(client: &mut Client, wanted: &str) -> CliResult<NodeRow> {
    let payload = client.request(LIST, &json!({})).await?;
    let list: NodeList = read_answer(LIST, &payload)?;
    let wanted = wanted.trim();
    let fits = |node: &&NodeRow| {
        let named = node.display_name.as_deref();
        named.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            || (!wanted.is_empty() && node.node_id.starts_with(wanted))
    };
    let found: Vec<&NodeRow> = list.nodes.iter().filter(fits).collect();
    match found.as_slice() {
        [node] => Ok((*node).clone()),
        [] => Err(CliError::new(
            Kind::Gateway,
            "UNKNOWN_NODE",
            format!("there is no node {wanted}"),
        )
        .fix("openclaw nodes list shows all")),
        several => Err(CliError::new(
            Kind::Gateway,
            "AMBIGUOUS_NODE",
            format!("{} nodes are meant by {wanted}", several.len()),
        )
        .fix("give more of the id: openclaw nodes list shows all")),
    }
}
