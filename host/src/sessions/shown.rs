//! Sessions as clients see them: rows of the list, entries, titles, previews.
//!
//! Called by the methods. Pure: stored rows in, wire types out.

use gateway_schemas::sessions as wire;

use super::{MessageRow, SessionKey, SessionRow};
use crate::store::sessions::BodyRow;

/// Longest title made from a message, characters.
const TITLE_CHARS_MAX: usize = 60;
/// Longest preview of a message, characters.
const PREVIEW_CHARS_MAX: usize = 120;

/// One session in `sessions.list`.
pub fn row(key: &SessionKey, row: &SessionRow) -> wire::SessionRow {
    let entry = entry(row);
    let kind = match key.kind() {
        "group" => wire::SessionKind::Group,
        "global" => wire::SessionKind::Global,
        "unknown" => wire::SessionKind::Unknown,
        _ => wire::SessionKind::Direct,
    };
    wire::SessionRow {
        key: key.to_string(),
        kind,
        display_name: entry.label.clone().or(entry.display_name),
        label: entry.label,
        channel: entry.channel,
        subject: entry.subject,
        group_channel: entry.group_channel,
        space: entry.space,
        chat_type: entry.chat_type,
        origin: entry.origin,
        updated_at: Some(entry.updated_at),
        session_id: Some(entry.session_id),
        system_sent: entry.system_sent,
        aborted_last_run: entry.aborted_last_run,
        thinking_level: entry.thinking_level,
        fast_mode: entry.fast_mode,
        verbose_level: entry.verbose_level,
        reasoning_level: entry.reasoning_level,
        elevated_level: entry.elevated_level,
        send_policy: entry.send_policy,
        input_tokens: entry.input_tokens,
        output_tokens: entry.output_tokens,
        total_tokens: entry.total_tokens,
        total_tokens_fresh: row.tokens.is_some(),
        response_usage: entry.response_usage,
        model_provider: entry.model_provider,
        model: entry.model,
        context_tokens: entry.context_tokens,
        delivery_context: entry.delivery_context,
        last_channel: entry.last_channel,
        last_to: entry.last_to,
        last_account_id: entry.last_account_id,
        spawned_by: entry.spawned_by,
        derived_title: None,
        last_message_preview: None,
    }
}

/// A session as `sessions.patch` and `sessions.reset` answer it.
pub fn entry(row: &SessionRow) -> wire::SessionEntry {
    let word = |name: &str| row.settings.words.get(name).cloned();
    let (route, tokens, chat) = (row.route.as_ref(), row.tokens.as_ref(), &row.chat);
    wire::SessionEntry {
        session_id: row.session_id.clone(),
        updated_at: row.updated_at,
        label: row.settings.label.clone(),
        display_name: chat.label.clone(),
        channel: chat.channel.clone(),
        chat_type: chat.chat_type.clone(),
        subject: chat.subject.clone(),
        origin: origin(row),
        delivery_context: route.map(|route| wire::DeliveryContext {
            channel: Some(route.channel.clone()),
            to: route.to.clone(),
            account_id: route.account_id.clone(),
            thread_id: route.thread_id.clone(),
        }),
        last_channel: route.map(|route| route.channel.clone()),
        last_to: route.and_then(|route| route.to.clone()),
        last_account_id: route.and_then(|route| route.account_id.clone()),
        last_thread_id: route.and_then(|route| route.thread_id.clone()),
        system_sent: Some(row.system_sent),
        aborted_last_run: Some(row.aborted_last_run),
        thinking_level: word("thinkingLevel"),
        fast_mode: row.settings.fast_mode,
        verbose_level: word("verboseLevel"),
        reasoning_level: word("reasoningLevel"),
        elevated_level: word("elevatedLevel"),
        response_usage: word("responseUsage"),
        send_policy: word("sendPolicy"),
        group_activation: word("groupActivation"),
        exec_host: word("execHost"),
        exec_security: word("execSecurity"),
        exec_ask: word("execAsk"),
        exec_node: word("execNode"),
        model_provider: row.model_provider.clone(),
        model: row.model.clone(),
        provider_override: row.settings.provider_override.clone(),
        model_override: row.settings.model_override.clone(),
        context_tokens: row.context_tokens,
        input_tokens: tokens.map(|tokens| tokens.input),
        output_tokens: tokens.map(|tokens| tokens.output),
        cache_read: tokens.map(|tokens| tokens.cache_read),
        cache_write: tokens.map(|tokens| tokens.cache_write),
        // The length of the context is that of the last prompt.
        total_tokens: tokens.map(|t| t.input + t.cache_read + t.cache_write),
        total_tokens_fresh: tokens.map(|_| true),
        spawned_by: word("spawnedBy"),
        spawned_workspace_dir: word("spawnedWorkspaceDir"),
        spawn_depth: row.settings.spawn_depth,
        subagent_role: word("subagentRole"),
        subagent_control_scope: word("subagentControlScope"),
        ..wire::SessionEntry::default()
    }
}

fn origin(row: &SessionRow) -> Option<wire::SessionOrigin> {
    let (chat, route) = (&row.chat, row.route.as_ref());
    chat.channel.as_ref()?;
    Some(wire::SessionOrigin {
        label: chat.label.clone(),
        provider: chat.channel.clone(),
        surface: chat.channel.clone(),
        chat_type: chat.chat_type.clone(),
        from: chat.from.clone(),
        to: route.and_then(|route| route.to.clone()),
        account_id: route.and_then(|route| route.account_id.clone()),
        thread_id: route.and_then(|route| route.thread_id.clone()),
    })
}

/// A title from what is known: the room's name, its subject, or the first thing said.
pub fn title(row: &SessionRow, beginning: &[MessageRow]) -> Option<String> {
    let first = beginning.iter().find_map(|message| match &message.body {
        BodyRow::User(user) => Some(user.text.as_str()).filter(|text| !text.trim().is_empty()),
        BodyRow::Assistant(_) | BodyRow::Tool(_) => None,
    });
    let known = [
        row.chat.label.as_deref(),
        row.chat.subject.as_deref(),
        first,
    ];
    known
        .into_iter()
        .flatten()
        .next()
        .map(|text| one_line(text, TITLE_CHARS_MAX))
}

/// One message of a preview; none when it has no text.
pub fn preview_item(message: &MessageRow, chars_max: usize) -> Option<wire::PreviewItem> {
    let (role, text) = match &message.body {
        BodyRow::User(user) => (wire::PreviewRole::User, &user.text),
        BodyRow::Assistant(said) => (wire::PreviewRole::Assistant, &said.text),
        BodyRow::Tool(result) => (wire::PreviewRole::Tool, &result.text),
    };
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let text = if text.chars().count() <= chars_max {
        text.to_owned()
    } else {
        let cut: String = text.chars().take(chars_max.saturating_sub(3)).collect();
        format!("{cut}...")
    };
    Some(wire::PreviewItem { role, text })
}

/// The beginning of the last message that has a text.
pub fn preview(ending: &[MessageRow]) -> Option<String> {
    let text = ending.iter().rev().find_map(|message| {
        let text = match &message.body {
            BodyRow::User(user) => &user.text,
            BodyRow::Assistant(said) => &said.text,
            BodyRow::Tool(_) => return None,
        };
        (!text.trim().is_empty()).then_some(text)
    });
    text.map(|text| one_line(text, PREVIEW_CHARS_MAX))
}

fn one_line(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    let cut: String = line.chars().take(chars_max - 1).collect();
    format!("{}…", cut.trim_end())
}
