//! Commands: for one, and never for nobody.

use crate::bus::cases::prelude::*;

cases! { "commands":
    a_command_that_nobody_takes_is_an_error,
    a_command_comes_to_one_member_of_its_group,
    a_command_waits_while_its_group_has_no_members,
    commands_and_messages_are_two_kinds,
    a_group_does_one_of_both,
}

const CHARGE: &str = "payments.charge";

async fn a_command_that_nobody_takes_is_an_error(t: Probe) {
    let _shop = t.join(takes("shop", &["shop.*"])).await;
    let _wiretap = t.listen("wiretap", &["*.*"]).await;
    let Err(unpublished) = t.publish(vec![command(CHARGE, 1)]).await else {
        panic!("nobody takes the command, and it is reported as stored")
    };
    assert_eq!(*unpublished.into_first().kind(), ErrorKind::Unroutable);
    let mut payments = t.join(takes("payments", &[CHARGE])).await;
    t.send(vec![command(CHARGE, 2)]).await;
    assert_eq!(payments.take(1).await, ["2"], "once somebody takes it");
    payments.is_quiet().await;
}

async fn a_command_comes_to_one_member_of_its_group(t: Probe) {
    let mut members = [
        t.join(takes("payments", &["payments.*"])).await,
        t.another().await.join(takes("payments", &["payments.*"])).await,
    ];
    t.send(vec![command(CHARGE, 1)]).await;
    let [one, other] = &mut members;
    let delivery = tokio::select! {
        delivery = one.next() => delivery,
        delivery = other.next() => delivery,
    };
    assert_eq!(seen(&delivery), ("1".to_owned(), 1));
    acked(delivery).await;
    one.is_quiet().await;
    other.is_quiet().await;
}

async fn a_command_waits_while_its_group_has_no_members(t: Probe) {
    drop(t.join(takes("payments", &[CHARGE])).await);
    t.send(vec![command(CHARGE, 1)]).await;
    assert_eq!(t.join(takes("payments", &[CHARGE])).await.take(1).await, ["1"]);
}

async fn commands_and_messages_are_two_kinds(t: Probe) {
    let mut payments = t.join(takes("payments", &["payments.*"])).await;
    let mut wiretap = t.listen("wiretap", &["payments.*"]).await;
    t.send(vec![command(CHARGE, "a command"), named(CHARGE, "a message")]).await;
    assert_eq!(payments.take(1).await, ["a command"]);
    assert_eq!(wiretap.take(1).await, ["a message"]);
    payments.is_quiet().await;
    wiretap.is_quiet().await;
}

async fn a_group_does_one_of_both(t: Probe) {
    let _payments = t.join(takes("payments", &[CHARGE])).await;
    let kind = t.refuses(listens("payments", &[OPENED])).await.kind().clone();
    assert!(matches!(kind, ErrorKind::Invalid { .. }), "{kind:?}");
}
