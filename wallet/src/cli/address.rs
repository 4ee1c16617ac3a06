//! `address`.

use super::Session;
use crate::failure;
use crate::keystore::Keystore;
use crate::wallet::WalletError;
use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sealpost_terminal::Failure;

#[derive(Debug, Args)]
pub(super) struct AddressArgs {
    /// Draw it as a QR code
    #[arg(long)]
    qr: bool,
}

#[derive(serde::Serialize)]
pub(super) struct Answer {
    wallet: String,
    address: String,
    uri: String,
}

impl Answer {
    pub(super) fn new(wallet: String, address: String) -> Self {
        let uri = format!("sealpost:{address}");
        Self { wallet, address, uri }
    }
}

pub(super) fn address(args: &AddressArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let wallet = session.wallet_name(&profile)?;
    let path = profile.wallet_folder(&wallet).map_err(failure)?.join("keystore.json");
    if !path.exists() {
        let network = profile.genesis().chain_name().into();
        return Err(failure(WalletError::Missing { name: wallet, network }));
    }
    // Needs no passphrase: an address is public.
    let address = Keystore::address_of(&path).map_err(failure)?;
    let answer = Answer::new(wallet, address);
    if args.qr && !session.terminal.is_json() {
        // Upper case makes the code smaller; addresses may be written so.
        let code = QrCode::new(answer.uri.to_uppercase()).map_err(Failure::bug)?;
        let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
        session.terminal.say(code.render::<Dense1x2>().dark_color(dark).light_color(light).build());
    }
    session.terminal.say(&answer.address);
    session.terminal.emit("sealpost/address/1", &answer);
    Ok(())
}
