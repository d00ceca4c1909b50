//! A program that stands for a coding agent: it speaks the Agent Client Protocol on its pipes, in
//! shell, and does what the newest message says (`run it`, `hang`, `fail`, or just answers).

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The program, in a folder of the test's own with its notes: `lines` (all it was told), `env`,
/// `pwd`, `starts` (one line each), `child` (a process it started), `cancelled`.
#[derive(Debug)]
pub struct CodingAgent {
    folder: tempfile::TempDir,
}

const SCRIPT: &str = r#"
env > "$NOTES/env"; pwd > "$NOTES/pwd"; echo "$*" >> "$NOTES/starts"
say() { printf '%s\n' "$1"; }
answer() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}"; }
update() { say "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"$session\",\"update\":$1}}"; }
chunk() { update "{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"$1\"}}"; }
echo 'this is no message'
while IFS= read -r line; do
  printf '%s\n' "$line" >> "$NOTES/lines"
  id=$(printf '%s' "$line" | sed -n 's/^{"id":\([0-9]*\),.*/\1/p')
  case "$line" in
  *'"method":"initialize"'*)
    answer "{\"protocolVersion\":${VERSION:-1},\"agentCapabilities\":{\"loadSession\":${LOADS:-true}}}" ;;
  *'"method":"session/new"'*)
    session=s-1
    case "$NEWER" in
    '') answer '{"sessionId":"s-1","models":{"currentModelId":"a","availableModels":[{"modelId":"a","name":"A"},{"modelId":"b","name":"B"}]}}' ;;
    *) answer '{"sessionId":"s-1","configOptions":[{"id":"m","category":"model","type":"select","currentValue":"a","options":[{"value":"a"},{"value":"b"}]}]}' ;;
    esac ;;
  *'"method":"session/load"'*)
    session=s-1; chunk 'words of the past'; answer null ;;
  *'"method":"session/set_model"'* | *'"method":"session/set_config_option"'*) answer '{}' ;;
  *'"method":"session/prompt"'*)
    asked=$id
    case "$line" in
    *'run it'*)
      chunk 'Let me see.'
      update '{"sessionUpdate":"tool_call","toolCallId":"t1","title":"Run ls","kind":"execute","status":"pending","rawInput":{"command":["ls","-la"]}}'
      say '{"jsonrpc":"2.0","id":77,"method":"session/request_permission","params":{"sessionId":"s-1","toolCall":{"toolCallId":"t1","title":"Run ls","kind":"execute","rawInput":{"command":["ls","-la"]}},"options":[{"optionId":"yes","name":"Yes","kind":"allow_once"},{"optionId":"ever","name":"Always","kind":"allow_always"},{"optionId":"no","name":"No","kind":"reject_once"}]}}'
      IFS= read -r line; printf '%s\n' "$line" >> "$NOTES/lines"
      say '{"jsonrpc":"2.0","id":78,"method":"fs/read_text_file","params":{"path":"/etc/passwd"}}'
      IFS= read -r refused; printf '%s\n' "$refused" >> "$NOTES/lines"
      case "$line" in
      *'"optionId":"no"'*)
        update '{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"failed"}'; chunk 'I may not.' ;;
      *)
        update '{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"completed","content":[{"type":"content","content":{"type":"text","text":"a b"}}]}'; chunk 'It says a b.' ;;
      esac
      id=$asked; answer '{"stopReason":"end_turn"}' ;;
    *hang*)
      chunk 'Working'; sleep 600 & echo $! > "$NOTES/child" ;;
    *fail*)
      say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"log in first\"}}" ;;
    *die*)
      echo 'out of paper' >&2; exit 4 ;;
    *)
      chunk 'Hello '; chunk 'you.'
      answer '{"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}}' ;;
    esac ;;
  *'"method":"session/cancel"'*)
    echo yes > "$NOTES/cancelled"; id=$asked; answer '{"stopReason":"cancelled"}' ;;
  esac
done
"#;

impl CodingAgent {
    /// Ready to be started.
    ///
    /// # Panics
    /// When the system has no room for it.
    #[must_use]
    pub fn new() -> CodingAgent {
        let folder = tempfile::Builder::new().prefix("agent-").tempdir();
        let folder = folder.expect("a folder for a test");
        let agent = CodingAgent { folder };
        let notes = agent.folder.path().display();
        let text = format!("#!/bin/sh\nNOTES='{notes}'\n{SCRIPT}");
        std::fs::write(agent.path(), text).expect("the folder can be written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(agent.path(), mode).expect("the file is there");
        agent
    }

    /// Where the program lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("coding-agent")
    }

    /// One of its notes; empty before it was made.
    #[must_use]
    pub fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Default for CodingAgent {
    fn default() -> Self {
        Self::new()
    }
}
