//! Several who listen, and what one service tells another.

use super::*;

/// Two listeners of one service have an inbox each.
#[tokio::test(flavor = "multi_thread")]
async fn each_listener_gets_every_message() {
    async fn count(_: Told, Res(shared): Res<Arc<Shared>>) -> Result<(), HandlerError> {
        shared.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    let (store, bus, shared) =
        (MemoryStore::default(), MemoryBus::default(), Arc::<Shared>::default());
    let app = builder(Arc::new(store.clone()), &bus, &shared).listens("mail.count", count);
    let running = app.build().unwrap().start().await.unwrap();
    let message = paid("a", 5);
    bus.publish(vec![message.clone()]).await.unwrap();
    until(async || shared.calls() == 2).await;
    until(async || store.inbox("mail.count", message.metadata.id()).await.unwrap().is_some()).await;
    until(async || store.inbox("ledger.book", message.metadata.id()).await.unwrap().is_some())
        .await;
    let other = MessageId::fresh();
    assert!(store.inbox("mail.count", other).await.unwrap().is_none());
    running.stop(5 * SECOND).await.unwrap();
}

/// From a command in one service to the log of another.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_service_tells_another_applies_once() {
    let told = |event: &AccountEvent| match event {
        AccountEvent::Deposited { amount } => {
            Some(Told::Paid { amount: *amount, currency: "EUR".into() })
        }
        _ => None,
    };
    let world = World::new(Arc::default()).await;
    let bank = bank(&MemoryStore::default())
        .bus(world.bus.connect())
        .translate("bank.told", told)
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = bank.start().await.unwrap();
    for n in 0..50u64 {
        let account = format!("account-{}", n % 5);
        bank.send(Deposit { account, amount: n }).await.unwrap();
    }
    for account in 0..5u64 {
        let sum = (0..10).map(|n| n * 5 + account).sum();
        world.has(&format!("account-{account}"), sum).await;
    }
    let seen = world.shared.seen.lock().unwrap().clone();
    for account in 0..5 {
        let key = format!("account-{account}");
        let amounts: Vec<_> = seen.iter().filter(|(k, _)| *k == key).map(|(_, n)| *n).collect();
        assert!(amounts.is_sorted(), "in the order in which it happened: {amounts:?}");
    }
    assert_eq!(world.shared.calls(), 50);
    running.stop(5 * SECOND).await.unwrap();
    world.stop().await;
}
