//! Password hashes: Argon2id on a bounded pool.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{PasswordVerifier as _, phc},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::UsersError;
use crate::{
    config,
    ids::Ids,
    secret::{Secret, constant_time_eq},
    store::schema::users::PasswordHash,
};

/// The longest password that is looked at, in bytes: hashing longer ones would only give strangers work to hand out.
const PASSWORD_BYTES_MAX: usize = 512;

/// Passwords that may wait for their turn. At two at a time and 25 ms each, the last one waits about 25 seconds.
const WAITING_MAX: usize = 2048;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Hashes and verifies passwords, a few at a time, never on the async workers. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    inner: Arc<Inner>,
}

struct Inner {
    argon: Argon2<'static>,
    length_min: u32,
    ids: Ids,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The working memory of each hash that may run at once, some 20 MiB: kept, because the allocator is slow to return
    /// so large a piece to the system, and fresh pages cost as much as a tenth of the hash.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Passwords {
    /// A pool with the costs of the configuration.
    ///
    /// # Errors
    /// The costs are outside Argon2's bounds.
    pub fn new(config: &config::Passwords, ids: Ids) -> Result<Self, UsersError> {
        let memory_kib = u32::try_from(config.memory.bytes() / 1024).unwrap_or(u32::MAX);
        let params = Params::new(memory_kib, config.iterations, 1, None)
            .map_err(|_| UsersError::Internal("the costs of password hashes are out of bounds"))?;
        let parallel = usize::try_from(config.parallel_hashes).unwrap_or(1).max(1);
        Ok(Self {
            inner: Arc::new(Inner {
                argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
                length_min: config.length_min,
                ids,
                turns: Arc::new(Semaphore::new(parallel)),
                waiting: AtomicUsize::new(0),
                memory: Mutex::default(),
            }),
        })
    }

    /// Whether a new password will do.
    ///
    /// # Errors
    /// [`UsersError::WeakPassword`], or [`UsersError::Invalid`] for one that is too long.
    pub fn check(&self, password: &Secret) -> Result<(), UsersError> {
        let password = password.expose();
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(UsersError::Invalid("A password may have at most 512 bytes"));
        }
        let length_min = self.inner.length_min;
        if password.chars().count() < usize::try_from(length_min).unwrap_or(usize::MAX) {
            return Err(UsersError::WeakPassword { length_min });
        }
        Ok(())
    }

    /// The hash of a new password, with a salt of its own.
    ///
    /// # Errors
    /// [`UsersError::Busy`].
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, UsersError> {
        let salt = self.inner.ids.bytes::<16>();
        self.run(move |inner| inner.hash(&password, &salt)).await?
    }

    /// Whether a password belongs to a hash. Without a hash (no such account, or one without a password) the answer
    /// is no, after the same work: how long it takes does not tell who exists.
    ///
    /// # Errors
    /// [`UsersError::Busy`].
    pub async fn verify(&self, password: Secret, hash_of_account: Option<PasswordHash>) -> Result<bool, UsersError> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.run(move |inner| {
            if let Some(stored) = &hash_of_account {
                return inner.verify(&password, stored);
            }
            // Only the work counts.
            drop(inner.hash(&password, &[0; 16]));
            false
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, UsersError> {
        let _waiting = Waiting::enter(&self.inner)?;
        let turn = self.inner.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| UsersError::Internal("the password pool is closed"))?;
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller: a caller who goes away does not end the work.
            let _turn = turn;
            work(&inner)
        });
        done.await.map_err(|_| UsersError::Internal("hashing a password panicked"))
    }
}

impl Inner {
    /// The raw hash of a password with the configured costs.
    fn digest(&self, password: &Secret, salt: &[u8]) -> Result<[u8; HASH_BYTES], UsersError> {
        let mut memory = self.memory.lock().pop().unwrap_or_default();
        memory.resize(self.argon.params().block_count(), Block::default());
        let mut digest = [0; HASH_BYTES];
        let password = password.expose().as_bytes();
        let done = self.argon.hash_password_into_with_memory(password, salt, &mut digest, &mut memory);
        self.memory.lock().push(memory);
        done.map(|()| digest).map_err(|_| UsersError::Internal("hashing a password failed"))
    }

    /// What stands before salt and hash in the text of a hash with the configured costs (the PHC string format).
    fn prefix(&self) -> String {
        let params = self.argon.params();
        format!("$argon2id$v=19$m={},t={},p={}$", params.m_cost(), params.t_cost(), params.p_cost())
    }

    fn hash(&self, password: &Secret, salt: &[u8]) -> Result<PasswordHash, UsersError> {
        let digest = self.digest(password, salt)?;
        let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        Ok(PasswordHash(format!("{}{}${}", self.prefix(), text(salt), text(&digest))))
    }

    fn verify(&self, password: &Secret, stored: &PasswordHash) -> bool {
        let ours = stored.0.strip_prefix(&self.prefix()).and_then(|rest| rest.split_once('$'));
        let Some((salt, digest)) = ours else {
            // Made with other costs.
            return phc::PasswordHash::new(&stored.0)
                .is_ok_and(|parsed| self.argon.verify_password(password.expose().as_bytes(), &parsed).is_ok());
        };
        let (Ok(salt), Ok(digest)) = (STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(digest)) else {
            return false;
        };
        self.digest(password, &salt).is_ok_and(|found| constant_time_eq(&found, &digest))
    }
}

/// Counts one caller, also when it goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Result<Self, UsersError> {
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(&inner.waiting);
        if before >= WAITING_MAX { Err(UsersError::Busy) } else { Ok(entered) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::cheap_passwords;

    fn passwords() -> Passwords {
        Passwords::new(&cheap_passwords(), Ids::system()).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m="), "{}", hash.0);
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("".into(), Some(hash.clone())).await.unwrap());
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "salts differ");
    }

    #[tokio::test]
    async fn an_account_without_a_password_fits_none() {
        let passwords = passwords();
        assert!(!passwords.verify("".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some(PasswordHash(String::new()))).await.unwrap());
        assert!(!passwords.verify("a".repeat(10_000).into(), None).await.unwrap());
    }

    #[test]
    fn length_is_counted_in_characters() {
        let passwords = passwords();
        assert!(matches!(passwords.check(&"äöüäöüä".into()), Err(UsersError::WeakPassword { length_min: 8 })));
        passwords.check(&"äöüäöüäö".into()).unwrap();
        assert!(matches!(passwords.check(&"a".repeat(513).into()), Err(UsersError::Invalid(_))));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let passwords = passwords();
        passwords.inner.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert!(matches!(passwords.verify("x".into(), None).await, Err(UsersError::Busy)));
        passwords.inner.waiting.store(WAITING_MAX - 1, Ordering::Relaxed);
        assert!(passwords.verify("x".into(), None).await.is_ok());
        assert_eq!(passwords.inner.waiting.load(Ordering::Relaxed), WAITING_MAX - 1);
    }
}
