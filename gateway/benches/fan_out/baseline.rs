//! The baseline of the fan-out: tokio and tokio-tungstenite, a task and a queue for each connection, one thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Error, Message};

type Queues = Rc<RefCell<Vec<UnboundedSender<Message>>>>;

/// Serves until the process is ended.
pub(crate) fn serve(ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(listener.local_addr()?);
        let queues = Queues::default();
        loop {
            let (stream, _) = listener.accept().await?;
            let queues = Rc::clone(&queues);
            spawn_local(async move {
                // A client that goes away ends its task; there is nobody to tell.
                _ = serve_one(stream, queues).await;
            });
        }
    })
}

/// One connection: what it sends goes into all queues, and what is in its own is sent, and flushed when nothing is.
async fn serve_one(stream: TcpStream, queues: Queues) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    let (queue, mut messages) = unbounded_channel();
    queues.borrow_mut().push(queue);
    loop {
        let queued = match select(pin!(messages.recv()), socket.next()).await {
            Either::Left((queued, _)) => queued,
            Either::Right((None, _)) => None,
            Either::Right((Some(received), _)) => {
                let received = received?;
                let all = queues.borrow();
                // One whose client is gone takes nothing.
                all.iter().for_each(|queue| _ = queue.send(received.clone()));
                continue;
            }
        };
        let Some(queued) = queued else { return Ok(()) };
        socket.feed(queued).await?;
        while let Ok(queued) = messages.try_recv() {
            socket.feed(queued).await?;
        }
        socket.flush().await?;
    }
}
