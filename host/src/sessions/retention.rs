//! Sessions of single runs of cron jobs: kept for a while, so that a run can be looked at, and then
//! forgotten with their transcripts. Called by the cron task.

use super::{SessionKey, Sessions};
use crate::limits::CRON_FORGET_MAX;
use crate::store::StoreError;
use crate::store::{session_order, sessions as disk};

impl Sessions {
    /// Forgets what single runs said that ended before `before_ms`, a bounded number at a time; the
    /// newest run of each job stays. How many went.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn forget_runs(&self, before_ms: u64) -> Result<usize, StoreError> {
        let is_run = |key: &str| SessionKey::from_store(key).cron_job().is_some();
        let mut gone = 0;
        // Oldest first; what is left over is for the next time.
        for key in session_order::oldest(&self.store, before_ms, is_run)? {
            let Some(job) = SessionKey::from_store(&key).cron_job().map(str::to_owned) else {
                continue;
            };
            let forgotten = disk::forget(&self.store, key, job, before_ms).await?;
            gone += usize::from(forgotten);
            if gone >= CRON_FORGET_MAX {
                break;
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, ConfigHandle};
    use crate::sessions::InputRow;
    use crate::store::Store;

    #[tokio::test]
    async fn old_runs_go_with_their_words_and_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let config = ConfigHandle::new(Config::for_tests(dir.path()));
        let store = Store::open(&dir.path().join("db")).unwrap();
        let sessions = Sessions::new(store.clone(), Clock::system(), config.clone());
        let key = |text: &str| SessionKey::resolve(text, &config.current()).unwrap();
        let job = key("agent:main:cron:j");
        for id in ["one", "two"] {
            sessions
                .change(&job, move |row| row.session_id = id.to_owned())
                .await
                .unwrap();
            let said = InputRow {
                text: id.to_owned(),
                ..InputRow::default()
            };
            sessions.append_user(&job, None, said).await.unwrap();
            let row = sessions.get(&job).unwrap().unwrap();
            let run = key(&format!("agent:main:cron:j:run:{id}"));
            sessions.change(&run, move |own| *own = row).await.unwrap();
        }
        let (one, two) = (
            key("agent:main:cron:j:run:one"),
            key("agent:main:cron:j:run:two"),
        );
        let first = sessions.get(&one).unwrap().unwrap();
        assert_eq!(
            sessions.forget_runs(first.updated_at).await.unwrap(),
            0,
            "too young"
        );
        assert_eq!(sessions.ending(&first, 9).unwrap().len(), 1);

        assert_eq!(sessions.forget_runs(u64::MAX).await.unwrap(), 1);
        assert!(sessions.get(&one).unwrap().is_none());
        assert!(sessions.ending(&first, 9).unwrap().is_empty());
        assert!(sessions.get(&two).unwrap().is_some());
        assert_eq!(
            sessions.history(&job, 9).unwrap().len(),
            1,
            "the newest run's words"
        );
        store.close().await;
    }
}
