//! `devices …`: who may connect, who asks to, and their tokens.

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{ApproveArgs, ClearArgs, DevicesCommand, RotateArgs, TokenArgs};
use super::client::{Access, Client, read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::ago;
use crate::clock::Clock;

const LIST: &str = "device.pair.list";

/// The answer to `device.pair.list`; only what is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeviceList {
    /// Newest first.
    pub pending: Vec<Request>,
    /// Last approved first.
    pub paired: Vec<Device>,
}

/// A request that waits for approval.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    request_id: String,
    device_id: String,
    display_name: Option<String>,
    client_id: Option<String>,
    platform: Option<String>,
    role: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    remote_ip: Option<String>,
    is_repair: bool,
    ts: Option<u64>,
}

/// A paired device.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    device_id: String,
    display_name: Option<String>,
    client_id: Option<String>,
    platform: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    approved_at_ms: Option<u64>,
    tokens: Vec<Token>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Token {
    role: String,
    revoked_at_ms: Option<u64>,
    last_used_at_ms: Option<u64>,
}

/// Runs one of the commands.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(command: &DevicesCommand, screen: &Screen) -> CliResult<()> {
    let access = command.reach().0.own_access();
    match command {
        DevicesCommand::List(_) => list(&access, screen),
        DevicesCommand::Approve(args) => approve(args, &access, screen),
        DevicesCommand::Reject(args) => {
            let params = json!({"requestId": args.request_id});
            let done = format!("rejected {}", args.request_id);
            simple("device.pair.reject", &params, &done, &access, screen)
        }
        DevicesCommand::Remove(args) => {
            let params = json!({"deviceId": args.device_id});
            let done = format!("removed {}: it must be paired again", args.device_id);
            simple("device.pair.remove", &params, &done, &access, screen)
        }
        DevicesCommand::Rotate(args) => rotate(args, &access, screen),
        DevicesCommand::Revoke(args) => {
            let TokenArgs { device, role, .. } = &args.token;
            let params = json!({"deviceId": device, "role": role});
            let done = format!("revoked the {role} token of {device}");
            simple("device.token.revoke", &params, &done, &access, screen)
        }
        DevicesCommand::Clear(args) => clear(args, &access, screen),
    }
}

/// Forgets every device, this one last: with it the connection ends.
fn clear(args: &ClearArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    if !args.yes {
        return Err(CliError::new(
            Kind::Usage,
            "CONFIRMATION_NEEDED",
            "this forgets every paired device: each has to be approved again",
        )
        .fix("say that it is meant: openclaw devices clear --yes"));
    }
    let (removed, rejected) = with_gateway(access, async |client| {
        let list: DeviceList = client.read(LIST, &json!({})).await?;
        let mut rejected = Vec::new();
        for request in list.pending.iter().filter(|_| args.pending) {
            let params = json!({"requestId": request.request_id});
            client.request("device.pair.reject", &params).await?;
            rejected.push(request.request_id.clone());
        }
        let own = client.device_id.clone();
        let mut ids: Vec<_> = list.paired.into_iter().map(|d| d.device_id).collect();
        ids.sort_by_key(|id| *id == own);
        for id in &ids {
            let params = json!({"deviceId": id});
            match client.request("device.pair.remove", &params).await {
                Err(error) if *id == own && error.kind() == Kind::Connection => {}
                answer => drop(answer?),
            }
        }
        Ok((ids, rejected))
    })?;
    if screen.json_wanted() {
        screen.value_json(&json!({"removedDevices": removed, "rejectedPending": rejected}));
        return Ok(());
    }
    let mut done = format!("removed {} devices", removed.len());
    if args.pending {
        done.push_str(&format!(", rejected {} requests", rejected.len()));
    }
    screen.line(screen.paint(Paint::Good, &done));
    Ok(())
}

fn simple(
    method: &str,
    params: &Value,
    done: &str,
    access: &Access,
    screen: &Screen,
) -> CliResult<()> {
    let payload = with_gateway(access, async |client| client.request(method, params).await)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
    } else {
        screen.line(screen.paint(Paint::Good, done));
    }
    Ok(())
}

fn list(access: &Access, screen: &Screen) -> CliResult<()> {
    let (payload, own) = with_gateway(access, async |client| {
        Ok((
            client.request(LIST, &json!({})).await?,
            client.device_id.clone(),
        ))
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let list: DeviceList = read_answer(LIST, &payload)?;
    screen.write(&list.show(&own, screen, Clock::system().now_ms()));
    Ok(())
}

/// With an id: approves. With `--latest`: shows whom that would be, and approves nobody.
fn approve(args: &ApproveArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    let Some(id) = &args.request_id else {
        return Err(with_gateway(access, preview)?);
    };
    let params = json!({"requestId": id});
    let payload = with_gateway(access, async |client| {
        client.request("device.pair.approve", &params).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    #[derive(Deserialize)]
    struct Approved {
        device: Device,
    }
    let device = read_answer::<Approved>("device.pair.approve", &payload)?.device;
    let name = device.name();
    let what = format!(
        "approved {name} ({}) as {}",
        device.device_id,
        device.roles.join(", ")
    );
    screen.line(screen.paint(Paint::Good, &what));
    Ok(())
}

/// The newest request as an error that says how to approve it: nothing was approved.
async fn preview(client: &mut Client) -> CliResult<CliError> {
    let list: DeviceList = client.read(LIST, &json!({})).await?;
    let Some(newest) = list.pending.first() else {
        return Ok(
            CliError::new(Kind::Gateway, "NOTHING_PENDING", "no pairing request waits")
                .fix("start the client that wants in, then look again: openclaw devices list"),
        );
    };
    Ok(CliError::new(
        Kind::Gateway,
        "CONFIRMATION_NEEDED",
        "nothing is approved without its id",
    )
    .fact("newest", "requestId", &newest.request_id)
    .fact(
        "device",
        "deviceId",
        format!("{} {}", newest.name(), newest.device_id),
    )
    .fact("asks for", "asksFor", newest.asks_for())
    .fact(
        "from",
        "remoteIp",
        newest.remote_ip.as_deref().unwrap_or("this machine"),
    )
    .fix(format!(
        "approve it: openclaw devices approve {}",
        newest.request_id
    )))
}

fn rotate(args: &RotateArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    #[derive(Deserialize)]
    struct Rotated {
        token: String,
        scopes: Vec<String>,
    }
    let TokenArgs { device, role, .. } = &args.token;
    let mut params = json!({"deviceId": device, "role": role});
    if !args.scope.is_empty() {
        params["scopes"] = json!(args.scope);
    }
    let payload = with_gateway(access, async |client| {
        client.request("device.token.rotate", &params).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let rotated: Rotated = read_answer("device.token.rotate", &payload)?;
    screen.line(screen.paint(Paint::Good, &format!("new {role} token for {device}")));
    screen.line(format!("scopes: {}", rotated.scopes.join(", ")));
    screen.line(format!("token:  {}", rotated.token));
    Ok(())
}

fn name<'a>(display: Option<&'a String>, client: Option<&'a String>) -> &'a str {
    display.or(client).map_or("(no name)", String::as_str)
}

impl Request {
    fn name(&self) -> &str {
        name(self.display_name.as_ref(), self.client_id.as_ref())
    }

    fn asks_for(&self) -> String {
        let roles = match (&self.roles[..], &self.role) {
            ([], Some(role)) => role.clone(),
            (roles, _) => roles.join(", "),
        };
        if self.scopes.is_empty() {
            roles
        } else {
            format!("{roles}: {}", self.scopes.join(", "))
        }
    }
}

impl Device {
    fn name(&self) -> &str {
        name(self.display_name.as_ref(), self.client_id.as_ref())
    }

    fn tokens(&self) -> String {
        let token = |token: &Token| match token.revoked_at_ms {
            Some(_) => format!("{} (revoked)", token.role),
            None => token.role.clone(),
        };
        self.tokens.iter().map(token).collect::<Vec<_>>().join(", ")
    }
}

impl DeviceList {
    fn show(&self, own: &str, screen: &Screen, now_ms: u64) -> String {
        let mut out = String::new();
        if !self.pending.is_empty() {
            out.push_str(&screen.paint(Paint::Warn, "waiting for approval"));
            out.push('\n');
            out.push_str(&self.pending_table(now_ms).render(screen));
            out.push_str("approve with openclaw devices approve REQUEST_ID\n\n");
        }
        if self.paired.is_empty() {
            out.push_str("no device is paired\n");
        } else {
            out.push_str(&self.paired_table(own, now_ms).render(screen));
        }
        out
    }

    fn pending_table(&self, now_ms: u64) -> Table {
        let mut table = Table::new([
            Column::id("Request"),
            Column::new("Name"),
            Column::new("Asks for"),
            Column::new("From").solid().optional(1),
            Column::new("Since").solid().optional(2),
            Column::new("Platform").optional(3),
            Column::id("Device").optional(4),
        ]);
        for request in &self.pending {
            let known = if request.is_repair {
                " (known device)"
            } else {
                ""
            };
            table.row([
                request.request_id.as_str().into(),
                format!("{}{known}", request.name()).into(),
                request.asks_for().into(),
                request.remote_ip.as_deref().unwrap_or("").into(),
                ago(request.ts, now_ms).into(),
                request.platform.as_deref().unwrap_or("").into(),
                request.device_id.as_str().into(),
            ]);
        }
        table
    }

    fn paired_table(&self, own: &str, now_ms: u64) -> Table {
        let mut table = Table::new([
            Column::id("Device"),
            Column::new("Name"),
            Column::new("Roles"),
            Column::new("Last used").solid().optional(1),
            Column::new("Tokens").optional(3),
            Column::new("Platform").optional(2),
            Column::new("Approved").solid().optional(4),
            Column::new("Scopes").optional(5),
        ]);
        for device in &self.paired {
            let own = if device.device_id == own {
                " (this device)"
            } else {
                ""
            };
            let used = device
                .tokens
                .iter()
                .filter_map(|token| token.last_used_at_ms)
                .max();
            table.row([
                Cell::from(device.device_id.as_str()),
                format!("{}{own}", device.name()).into(),
                device.roles.join(", ").into(),
                ago(used, now_ms).into(),
                device.tokens().into(),
                device.platform.as_deref().unwrap_or("").into(),
                ago(device.approved_at_ms, now_ms).into(),
                device.scopes.join(", ").into(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ANSWER: &str = r#"{"pending":[{"requestId":"436d44eb-e1fc-4131-8148-c02679685a8b",
        "deviceId":"dbc298251c51321b7266e78d1c151c2b62aff8cb95b293096d3463018544face",
        "publicKey":"k","displayName":"Phone","platform":"iOS 18.3.1","clientId":"openclaw-ios",
        "role":"operator","roles":["operator"],"scopes":["operator.read","operator.write"],
        "silent":false,"isRepair":false,"ts":970000}],
        "paired":[{"deviceId":"56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c",
        "platform":"linux","clientId":"cli","clientMode":"cli","role":"operator",
        "roles":["operator"],"scopes":["operator.admin"],"createdAtMs":1,"approvedAtMs":400000,
        "tokens":[{"role":"operator","scopes":["operator.admin"],"createdAtMs":1,
        "lastUsedAtMs":940000}]}]}"#;

    #[test]
    fn a_recorded_list_is_shown_with_whole_ids() {
        let list: DeviceList = serde_json::from_str(ANSWER).unwrap();
        let own = list.paired[0].device_id.clone();
        let expected = "\
waiting for approval
┌──────────────────────────────────────┬───────┬─────────────────────────────┬──────┬─────────┬────────────┐
│ Request                              │ Name  │ Asks for                    │ From │ Since   │ Platform   │
├──────────────────────────────────────┼───────┼─────────────────────────────┼──────┼─────────┼────────────┤
│ 436d44eb-e1fc-4131-8148-c02679685a8b │ Phone │ operator: operator.read,    │      │ 30s ago │ iOS 18.3.1 │
│                                      │       │ operator.write              │      │         │            │
└──────────────────────────────────────┴───────┴─────────────────────────────┴──────┴─────────┴────────────┘
not shown: device (--wide shows all)
approve with openclaw devices approve REQUEST_ID

┌──────────────────────────────────────────────────────────────────┬────────────────┬──────────┬───────────┐
│ Device                                                           │ Name           │ Roles    │ Last used │
├──────────────────────────────────────────────────────────────────┼────────────────┼──────────┼───────────┤
│ 56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c │ cli (this      │ operator │ 1m ago    │
│                                                                  │ device)        │          │           │
└──────────────────────────────────────────────────────────────────┴────────────────┴──────────┴───────────┘
not shown: tokens, platform, approved, scopes (--wide shows all)
";
        assert_eq!(
            list.show(&own, &Screen::plain(Some(108)), 1_000_000),
            expected
        );
        let wide = list.show(&own, &Screen::plain(None), 1_000_000);
        assert!(
            !wide.contains("not shown") && wide.contains("iOS 18.3.1"),
            "{wide}"
        );
    }

    #[test]
    fn an_empty_list_says_so() {
        let empty = DeviceList::default().show("", &Screen::plain(None), 0);
        assert_eq!(empty, "no device is paired\n");
    }
}
