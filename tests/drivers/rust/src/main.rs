//! Runs steps with instant-acme, the ACME library of the Rust world: one JSON argument in, one JSON report out, the same as the Go drivers'
//! (../golang/driver/driver.go says what the members mean). Answers http-01 and tls-alpn-01.

mod responder;

use std::error::Error;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use responder::Responder;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Eab {
    kid: String,
    key: String,
}

#[derive(Deserialize)]
struct Config {
    directory: String,
    root: String,
    names: Vec<String>,
    #[serde(default)]
    challenge: String,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    profile: String,
    eab: Option<Eab>,
    out: String,
    steps: Vec<String>,
}

struct Run {
    config: Config,
    responder: Responder,
    account: Option<Account>,
    leaf: Option<CertificateDer<'static>>,
    previous: Option<CertificateDer<'static>>,
    orders: Vec<String>,
}

fn main() -> Result<(), Failure> {
    let argument = std::env::args().nth(1).ok_or("usage: instant '{\"directory\": …}'")?;
    let config: Config = serde_json::from_str(&argument)?;
    let responder = Responder::listen(if config.silent { "" } else { &config.challenge })?;
    let mut run = Run {
        config,
        responder,
        account: None,
        leaf: None,
        previous: None,
        orders: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut report = Vec::new();
        for name in run.config.steps.clone() {
            let mut entry = match run.step(&name).await {
                Ok(entry) => entry,
                Err(failure) => describe(failure.as_ref()),
            };
            entry.insert("step".to_string(), json!(name));
            report.push(Value::Object(entry));
        }
        report
    });
    println!("{}", Value::Array(report));
    Ok(())
}

fn describe(failure: &(dyn Error + Send + Sync + 'static)) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("error".to_string(), json!(failure.to_string()));
    if let Some(instant_acme::Error::Api(problem)) = failure.downcast_ref() {
        let details = json!({"type": problem.r#type, "status": problem.status, "detail": problem.detail});
        entry.insert("problem".to_string(), details);
    }
    entry
}

fn identifier(name: &str) -> Identifier {
    match name.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_string()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl Run {
    async fn step(&mut self, name: &str) -> Result<Map<String, Value>, Failure> {
        match name {
            "register" => self.register().await,
            "contact" => self.contact().await,
            "rollover" => self.rollover().await,
            "issue" => self.issue(None).await,
            "replace" => self.issue(self.leaf.clone()).await,
            "replace-again" => self.issue(self.previous.clone()).await,
            "deactivate-authorizations" => self.deactivate_authorizations().await,
            "renewal-info" => self.renewal_info().await,
            "revoke" => self.revoke().await,
            "deactivate" => self.deactivate().await,
            _ => Err("this library has no such step".into()),
        }
    }

    fn account(&self) -> Result<&Account, Failure> {
        self.account.as_ref().ok_or_else(|| "there is no account".into())
    }

    fn leaf(&self) -> Result<&CertificateDer<'static>, Failure> {
        self.leaf.as_ref().ok_or_else(|| "there is no certificate".into())
    }

    async fn register(&mut self) -> Result<Map<String, Value>, Failure> {
        let wanted = NewAccount {
            contact: &["mailto:admin@svc.test"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let eab = match &self.config.eab {
            Some(eab) => Some(ExternalAccountKey::new(
                eab.kid.clone(),
                &BASE64_URL_SAFE_NO_PAD.decode(&eab.key)?,
            )),
            None => None,
        };
        let (account, _) = Account::builder_with_root(&self.config.root)?
            .create(&wanted, self.config.directory.clone(), eab.as_ref())
            .await?;
        let mut profiles: Vec<_> = account.profiles().map(|profile| profile.name.to_string()).collect();
        profiles.sort();
        let entry = object(json!({"account": account.id(), "profiles": profiles}));
        self.account = Some(account);
        Ok(entry)
    }

    async fn contact(&mut self) -> Result<Map<String, Value>, Failure> {
        self.account()?.update_contacts(&["mailto:other@svc.test"]).await?;
        Ok(Map::new())
    }

    async fn rollover(&mut self) -> Result<Map<String, Value>, Failure> {
        let account = self.account.as_mut().ok_or("there is no account")?;
        let _credentials = account.update_key().await?;
        Ok(Map::new())
    }

    async fn deactivate(&mut self) -> Result<Map<String, Value>, Failure> {
        self.account()?.clone().deactivate().await?;
        Ok(Map::new())
    }

    async fn issue(&mut self, replaces: Option<CertificateDer<'static>>) -> Result<Map<String, Value>, Failure> {
        let identifiers: Vec<_> = self.config.names.iter().map(|name| identifier(name)).collect();
        let mut wanted = NewOrder::new(&identifiers);
        if !self.config.profile.is_empty() {
            wanted = wanted.profile(&self.config.profile);
        }
        if let Some(old) = &replaces {
            wanted = wanted.replaces(CertificateIdentifier::try_from(old)?);
        }
        let mut order = self.account()?.new_order(&wanted).await?;
        let url = order.url().to_string();
        self.prove(&mut order).await?;
        if order.poll_ready(&RetryPolicy::default()).await? != OrderStatus::Ready {
            return Err("the order is not ready".into());
        }
        order.finalize().await?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await?;
        fs::write(Path::new(&self.config.out).join("chain.pem"), &chain)?;
        self.previous = self.leaf.replace(CertificateDer::from_pem_slice(chain.as_bytes())?);
        self.orders.push(url);
        Ok(Map::new())
    }

    async fn prove(&self, order: &mut Order) -> Result<(), Failure> {
        let wanted = match self.config.challenge.as_str() {
            "http-01" => ChallengeType::Http01,
            "tls-alpn-01" => ChallengeType::TlsAlpn01,
            other => ChallengeType::Unknown(other.to_string()),
        };
        let mut authorizations = order.authorizations();
        while let Some(found) = authorizations.next().await {
            let mut authorization = found?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let mut challenge = authorization
                .challenge(wanted.clone())
                .ok_or("no such challenge in the authorization")?;
            let answer = challenge.key_authorization();
            self.responder
                .answer(&name, &challenge.token, answer.as_str(), answer.digest().as_ref())?;
            challenge.set_ready().await?;
        }
        Ok(())
    }

    async fn deactivate_authorizations(&mut self) -> Result<Map<String, Value>, Failure> {
        let url = self.orders.last().ok_or("there is no order")?.clone();
        let mut order = self.account()?.order(url).await?;
        let mut authorizations = order.authorizations();
        while let Some(found) = authorizations.next().await {
            found?.deactivate().await?;
        }
        Ok(Map::new())
    }

    async fn renewal_info(&mut self) -> Result<Map<String, Value>, Failure> {
        let id = CertificateIdentifier::try_from(self.leaf()?)?;
        let (info, delay) = self.account()?.renewal_info(&id).await?;
        Ok(object(json!({
            "start": info.suggested_window.start.unix_timestamp(),
            "end": info.suggested_window.end.unix_timestamp(),
            "explanation": info.explanation_url,
            "delay": delay.as_secs(),
        })))
    }

    async fn revoke(&mut self) -> Result<Map<String, Value>, Failure> {
        let request = RevocationRequest {
            certificate: self.leaf()?,
            reason: Some(RevocationReason::Superseded),
        };
        self.account()?.revoke(&request).await?;
        Ok(Map::new())
    }
}
