//! Names, and patterns of them.

use crate::bus::cases::prelude::*;

cases! { "names":
    other_names_do_not_come,
    a_star_stands_for_one_part,
    several_names_are_one_subscription,
    a_message_that_fits_two_patterns_comes_once,
    names_of_any_letters_come,
    a_later_subscription_adds_its_names,
}

async fn other_names_do_not_come(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let names = ["bank.closed", "bank", "bank.opened.late", "bank.opene", "Bank.opened"];
    t.send_each(names.map(|name| named(name, name))).await;
    t.send(vec![opened("a", "mine")]).await;
    assert_eq!(mailer.take(1).await, ["mine"]);
    mailer.is_quiet().await;
}

async fn a_star_stands_for_one_part(t: Probe) {
    let mut last = t.listen("last", &["bank.*"]).await;
    let mut first = t.listen("first", &["*.opened"]).await;
    let mut middle = t.listen("middle", &["bank.*.opened"]).await;
    let names = ["bank.opened", "bank.closed", "bank", "bank.v2.opened", "shop.opened", "opened"];
    t.send_each(names.map(|name| named(name, name).with_key("a"))).await;
    assert_eq!(last.take(2).await, ["bank.opened", "bank.closed"], "for `bank.*`");
    assert_eq!(first.take(2).await, ["bank.opened", "shop.opened"], "for `*.opened`");
    assert_eq!(middle.take(1).await, ["bank.v2.opened"], "for `bank.*.opened`");
    for member in [&mut last, &mut first, &mut middle] {
        member.is_quiet().await;
    }
}

async fn several_names_are_one_subscription(t: Probe) {
    let mut mailer = t.listen("mailer", &["bank.opened", "shop.*", "users.signed_up"]).await;
    let names = ["bank.opened", "shop.paid", "users.signed_up", "users.left"];
    t.send_each(names.map(|name| named(name, name).with_key("a"))).await;
    assert_eq!(mailer.take(3).await, ["bank.opened", "shop.paid", "users.signed_up"]);
    mailer.is_quiet().await;
}

async fn a_message_that_fits_two_patterns_comes_once(t: Probe) {
    let mut mailer = t.listen("mailer", &["bank.*", "*.opened", "bank.opened"]).await;
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    assert_eq!(mailer.take(2).await, ["1", "2"]);
    mailer.is_quiet().await;
}

async fn names_of_any_letters_come(t: Probe) {
    let names = ["bänk.größer", "заказ.оплачен", "a-b.c_d", "a/b:c.d", "x", "a.b.c.d.e.f"];
    let mut mailer = t.listen("mailer", &names).await;
    for name in names {
        t.send(vec![named(name, name)]).await;
        let delivery = mailer.next().await;
        assert_eq!(delivery.message().name, name);
        acked(delivery).await;
    }
}

async fn a_later_subscription_adds_its_names(t: Probe) {
    drop(t.listen("mailer", &["bank.opened"]).await);
    let mut mailer = t.listen("mailer", &["bank.opened", "bank.closed"]).await;
    t.send(vec![opened("a", 1), named("bank.closed", 2).with_key("a")]).await;
    assert_eq!(mailer.take(2).await, ["1", "2"]);
}
