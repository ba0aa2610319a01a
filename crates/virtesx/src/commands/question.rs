//! `question`: what domains ask, and answers to it; `domjobabort`: the end of what is done to a domain.

use clap::{Arg, ArgMatches};
use virt_api::{DomainQuestion, Error, ErrorCode, ErrorDomain};

use super::plain::{Outcome, Plain, domain_request, request, shown};
use crate::command::{Group, Request};
use crate::commands::domain::{domain_argument, lookup};
use crate::failure::{Context, usage};
use crate::render::Done;
use crate::render::question::Asked;
use crate::session::Session;

/// `question`
pub(crate) static QUESTION: Plain = Plain {
    name: "question",
    group: Group::Domain,
    summary: "Show and answer the questions of domains",
    details: "While a domain asks, nothing else can be done to it: starting it again, for example, is refused and the question\n\
              named. CHOICE is the label of an answer or its number in the list; without it, the default is taken.",
    usage: "(list [DOMAIN] | answer DOMAIN [CHOICE])",
    arguments,
    request: parse,
};

fn arguments(command: clap::Command) -> clap::Command {
    let domain = || Arg::new("domain").value_name("DOMAIN").help("ID, UUID or name of the domain");
    let sub = |name: &'static str, usage: &str, about: &'static str| {
        let usage = format!("virtesx question {name} {usage} [OPTIONS]");
        clap::Command::new(name).about(about).override_usage(usage)
    };
    let list =
        sub("list", "[DOMAIN]", "Show open questions, of one domain or of all").arg(domain());
    let answer = sub("answer", "DOMAIN [CHOICE]", "Answer the question that a domain asks")
        .arg(domain().required(true))
        .arg(Arg::new("choice").value_name("CHOICE").help("Label or number of the answer"));
    command.subcommand_required(true).disable_help_subcommand(true).subcommands([list, answer])
}

fn parse(matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
    // The parser insists on one of the two.
    let Some((name, matches)) = matches.subcommand() else {
        return Err(usage("command 'question' requires list or answer"));
    };
    let text = |name| matches.get_one::<String>(name).cloned();
    let domain = text("domain");
    if domain.as_deref() == Some("") {
        return Err(usage("argument <DOMAIN> is empty"));
    }
    let choice = if name == "answer" { text("choice") } else { None };
    Ok(match (name, domain) {
        ("answer", Some(domain)) => request(async move |session: &Session| {
            answer(session, &domain, choice.as_deref()).await
        }),
        (_, domain) => {
            request(async move |session: &Session| list(session, domain.as_deref()).await)
        }
    })
}

async fn list(session: &Session, domain: Option<&str>) -> Outcome {
    let domain = match domain {
        Some(name) => Some(lookup(session.hypervisor().await?, name).await?),
        None => None,
    };
    let asked = session.questions().await?.list_questions(domain.as_ref()).await;
    shown(Asked(asked.context(|| "failed to list the questions of domains".to_owned())?))
}

async fn answer(session: &Session, domain: &str, choice: Option<&str>) -> Outcome {
    let domain = lookup(session.hypervisor().await?, domain).await?;
    let questions = session.questions().await?;
    let failed = || format!("failed to answer the question of domain '{}'", domain.name);
    let asked = questions.list_questions(Some(&domain)).await.context(failed)?;
    let asked = asked.first().ok_or_else(|| {
        let message = format!("domain '{}' asks nothing", domain.name);
        Error::new(ErrorCode::OperationInvalid, ErrorDomain::None, message)
    })?;
    let index = chosen(asked, choice)?;
    let choice = &asked.choices[index];
    questions.answer_question(asked, &choice.key).await.context(failed)?;
    let sentence = format!("Question of domain '{}' answered with '{}'", domain.name, choice.label);
    let done = Done::to_domain("question-answer", &domain)
        .with("question", asked.text.as_str())
        .with("choice", choice.label.as_str())
        .with("key", choice.key.as_str());
    shown(done.saying(&sentence))
}

/// The place of the choice that is meant: by label without regard to case, by number counted from 1, by the host's key, or the
/// default.
fn chosen(question: &DomainQuestion, choice: Option<&str>) -> Result<usize, Error> {
    let all = || {
        let labels = question.choices.iter().map(|choice| format!("'{}'", choice.label));
        labels.collect::<Vec<_>>().join(", ")
    };
    let Some(wanted) = choice else {
        return question
            .default
            .ok_or_else(|| usage(format!("no answer is the default; possible are {}", all())));
    };
    let by_label = question.choices.iter().position(|c| c.label.eq_ignore_ascii_case(wanted));
    let by_number = || wanted.parse().ok().and_then(|number: usize| number.checked_sub(1));
    by_label
        .or_else(|| question.choices.iter().position(|c| c.key == wanted))
        .or_else(|| by_number().filter(|index| *index < question.choices.len()))
        .ok_or_else(|| usage(format!("'{wanted}' is no answer; possible are {}", all())))
}

/// `domjobabort`
pub(crate) static DOMJOBABORT: Plain = Plain {
    name: "domjobabort",
    group: Group::Domain,
    summary: "Stop what is being done to a domain, if that can be stopped",
    details: "Whoever has started it: a snapshot can be stopped, switching on cannot.",
    usage: "DOMAIN",
    arguments: domain_argument,
    request: |matches| {
        domain_request(matches, async |hypervisor, domain| {
            let result = hypervisor.domain_abort_job(&domain).await;
            result.context(|| format!("failed to abort the job of domain '{}'", domain.name))?;
            shown(Done::to_domain("domjobabort", &domain))
        })
    },
};

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use virt_api::{Domain, DomainQuestion, QuestionChoice};

    use super::chosen;

    #[test]
    fn a_choice_is_a_label_a_number_a_key_or_the_default() {
        let choice = |key: &str, label: &str| QuestionChoice {
            key: key.to_owned(),
            label: label.to_owned(),
        };
        let mut question = DomainQuestion {
            domain: Domain { name: "a".to_owned(), uuid: Uuid::nil(), id: None },
            id: "7".to_owned(),
            text: "Really?".to_owned(),
            choices: vec![choice("button.yes", "Yes"), choice("3", "No"), choice("x", "2")],
            default: Some(1),
        };
        for (given, expected) in [
            (None, Ok(1)),
            (Some("yes"), Ok(0)),
            (Some("1"), Ok(0)),
            (Some("2"), Ok(2)),
            (Some("3"), Ok(1)),
            (Some("button.yes"), Ok(0)),
            (Some("0"), Err("'0' is no answer; possible are 'Yes', 'No', '2'")),
            (Some("maybe"), Err("'maybe' is no answer; possible are 'Yes', 'No', '2'")),
        ] {
            let found = chosen(&question, given).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{given:?}");
        }
        question.default = None;
        assert!(chosen(&question, None).is_err());
    }
}
