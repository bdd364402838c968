//! Clients of the world, as they come, say something, read and go.

use router::{ConnId, Input, Purpose};
use schema::Encoding;

use super::World;
use crate::client::Client;

impl World {
    pub(crate) fn open(&mut self, name: &str, shard: usize, encoding: Encoding) {
        self.open_for(Purpose::Session(encoding), name, shard);
    }

    pub(crate) fn open_for(&mut self, purpose: Purpose, name: &str, shard: usize) {
        let encoding = if let Purpose::Session(encoding) = purpose { encoding } else { Encoding::Json };
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.by_conn.insert((shard, conn), name.to_owned());
        let mut client = Client::new(name, shard, conn, encoding);
        if let Some(earlier) = self.clients.remove(name) {
            assert!(earlier.closed.is_some(), "{name} is open");
            // The same client comes back: it remembers what it was told.
            client.cursor = earlier.cursor;
            self.earlier.push((earlier.name, earlier.followed));
            client.pushed = earlier.pushed;
            client.told = earlier.told;
        }
        self.clients.insert(name.to_owned(), client);
        self.input(shard, Input::Accepted { conn, purpose });
    }

    pub(crate) fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap_or_else(|| panic!("{name} was never opened"))
    }

    /// A message of a client arrives.
    pub(crate) fn message(&mut self, name: &str, payload: &[u8]) {
        let client = self.client(name);
        let ((shard, conn), text) = (client.socket(), client.encoding.is_text());
        self.input(shard, Input::Message { conn, text, payload });
    }

    pub(crate) fn leave(&mut self, name: &str) {
        let client = self.client(name);
        if client.closed.is_some() {
            return;
        }
        client.closed = Some(0);
        let (shard, conn) = client.socket();
        self.input(shard, Input::Closed { conn });
    }

    /// Bytes leave for a client.
    pub(crate) fn drain(&mut self, name: &str, bytes: u32) {
        let client = self.client(name);
        let bytes = bytes.min(client.undrained_bytes);
        client.undrained_bytes -= bytes;
        let (shard, conn) = client.socket();
        if client.closed.is_none() && bytes > 0 {
            self.input(shard, Input::Drained { conn, bytes });
        }
    }

    /// Everybody whose connection is open goes.
    pub(crate) fn all_leave(&mut self) {
        let open = self.clients.values().filter(|client| client.closed.is_none());
        let names: Vec<String> = open.map(|client| client.name.clone()).collect();
        for name in names {
            self.leave(&name);
        }
    }
}
