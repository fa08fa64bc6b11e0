# What a table of rules cannot say: a condition over several statements at once.
#
# Two people measured the model; or one did, with a better result, and the red team passed it.
# Every rule asks for something that is there, so nothing that is held back helps. The input is
# specified in docs/formats/policy-input.md.
package stemma.prod

import rego.v1

allow if count(evaluators(0.90)) >= 2

allow if {
	count(evaluators(0.95)) >= 1
	red_team_passed
}

# For people: shown as the reasons of a verdict, and a no by themselves.
deny contains "accuracy 0.90 by two evaluators, or 0.95 and a red team's report, is asked for" if {
	not allow
}

evaluators(least) := {who |
	some report in input.statements
	report.type == "https://example.com/evaluation/v1"
	accuracy := report.predicate.metrics.accuracy
	is_number(accuracy) # in Rego every text is greater than every number
	accuracy >= least
	some who in report.principals
}

red_team_passed if {
	some report in input.statements
	report.type == "https://example.com/red-team/v1"
	"red-team" in report.principals
	report.predicate.result == "passed"
	report.signed_s <= input.time_s
	report.signed_s >= input.time_s - ((30 * 24) * 3600)
}
