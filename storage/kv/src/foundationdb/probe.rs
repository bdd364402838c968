//! Probe of a cluster that changes nothing there: whether it answers, and which store is under the prefix.

use ::foundationdb::FdbError;

use super::client::FoundationDb;
use super::errors::{ClientError, TIMED_OUT};
use super::open::{Failed, OpenError, found};
use crate::transaction::{Generation, Version};

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The cluster's version then.
    pub version: Version,
    /// The format and the generation of the store; none if nothing lies under the prefix.
    pub store: Option<(u32, Generation)>,
}

impl FoundationDb {
    /// Asks once, and gives up after [`crate::limits::TRANSACTION_LIFE_MS`].
    ///
    /// # Errors
    /// [`OpenError::NoAnswer`]; what [`Self::open`] would say of the store.
    pub async fn probe(&self) -> Result<Probe, OpenError> {
        let told = |error: FdbError, last: Option<ClientError>| match error.code() {
            TIMED_OUT => OpenError::NoAnswer { last },
            _ => ClientError::from(error).into(),
        };
        let mut last = None;
        // The timeout counts from here, through every attempt.
        let mut tx = self.database.create_trx().map_err(|error| told(error, last))?;
        loop {
            let error = match found(&tx, &self.prefix).await {
                Ok(store) => match tx.get_read_version().await {
                    Ok(version) => {
                        let version = Version(u64::try_from(version).expect("versions count up from 0"));
                        return Ok(Probe { version, store });
                    }
                    Err(error) => error,
                },
                Err(Failed::Open(error)) => return Err(error),
                Err(Failed::Client(error)) => error,
            };
            if error.code() != TIMED_OUT {
                last = Some(ClientError::from(error));
            }
            tx = tx.on_error(error).await.map_err(|error| told(error, last))?;
        }
    }
}
