//! Descriptors that a client sends and no request takes.
//!
//! wayland-backend (0.3.17) queues whatever descriptors come in until a request takes them or the client goes, and has no limit: some
//! dozens of messages were enough to leave the process without any. It tells nobody, so clients are read one after the other, and what
//! the process has more after one than its objects account for is put down to it. Other threads open files meanwhile. That makes the
//! account inexact, and so it is used for one thing only: to find who goes when the process is about to run out.

use std::sync::Arc;

use handover::{Error, Kind, Result, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::poll;
use wayland_server::backend::{ClientId, DisconnectReason};

use super::limit::{ClientLimit, Total};
use super::{Server, os};

/// So many may be the work of other threads.
const NOISE: i64 = 4;

impl Server {
    /// Runs what clients have sent.
    pub(super) fn dispatch_clients(&mut self) -> Result<()> {
        let any = self.display.backend().poll_fd();
        if !poll::wait_readable(any, Some(Monotonic(0))).map_err(os("look who sent something"))? {
            return Ok(());
        }
        let total = Arc::clone(&self.door.total);
        let mut before = total.unaccounted(total.open());
        for id in self.clients() {
            self.dispatch_client(&id);
            // Tables of formats that it was sent are duplicates of ours until they have left.
            let _ = self.display.backend().flush(Some(id.clone()));
            let open = total.open();
            let after = total.unaccounted(open);
            self.with_limit(&id, |limit| limit.add_strays(after.saturating_sub(before)));
            before = after;
            if total.is_short(open) {
                self.disconnect_strayers(&total);
                before = total.unaccounted(total.open());
            }
        }
        Ok(())
    }

    /// One client. What is wrong with it is its own affair, and if it has gone then everything that it had goes here.
    fn dispatch_client(&mut self, id: &ClientId) {
        let _ = self.display.backend().dispatch_single_client(&mut self.state, id.clone());
    }

    /// As long as the process is about to have no descriptor left, who sent the most that no request takes.
    fn disconnect_strayers(&mut self, total: &Total) {
        while total.is_short(total.open()) {
            let strays = |id: &ClientId| self.with_limit(id, ClientLimit::strays).unwrap_or(0);
            let worst = self.clients().into_iter().map(|id| (strays(&id), id)).max_by_key(|(count, _)| *count);
            let Some((count, id)) = worst.filter(|(count, _)| *count > NOISE) else { return };
            let handle = self.display.handle().backend_handle();
            handle.kill_client(id.clone(), DisconnectReason::ConnectionClosed);
            self.dispatch_client(&id);
            self.state.refuse(
                Error::new(Stage::Access, Kind::Full)
                    .asked("descriptors that a client sent")
                    .found(format!("about {count} that no request takes, and a process with hardly any left"))
                    .why("they stay open as long as the client is connected, so it was disconnected"),
            );
        }
    }

    fn clients(&self) -> Vec<ClientId> {
        let mut clients = Vec::new();
        self.display.handle().backend_handle().with_all_clients(|id| clients.push(id));
        clients
    }

    fn with_limit<T>(&self, id: &ClientId, act: impl FnOnce(&ClientLimit) -> T) -> Option<T> {
        let data = self.display.handle().backend_handle().get_client_data(id.clone()).ok()?;
        (*data).downcast_ref::<ClientLimit>().map(act)
    }
}
