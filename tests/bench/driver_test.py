"""The driver's own arithmetic: run it with python3 driver_test.py."""
import os
import re
import tempfile
import types
import unittest
from unittest import mock

import bench
from driver import cells, instructions, noise, report, results, sample, targets


def samples_of(**subjects):
    return results.Results({"cell": {s: [v and {"ns": v} for v in values] for s, values in subjects.items()}}, {})


class Figures(unittest.TestCase):
    def test_a_ratio_is_taken_within_a_repetition_before_the_median(self):
        # The machine was twice as slow in the second repetition; the ratio does not see it.
        made = samples_of(workpool=[10.0, 20.0, 11.0], tbb=[100.0, 200.0, 100.0])
        self.assertEqual(made.ratio("cell", "workpool", "ns", "tbb"), results.Spread(0.1, 0.1, 0.11, 3))

    def test_a_dropped_sample_takes_its_partner_out_of_the_ratio_but_not_out_of_its_own_median(self):
        made = samples_of(workpool=[10.0, 30.0, None], tbb=[100.0, None, 5.0])
        self.assertEqual(made.ratio("cell", "workpool", "ns", "tbb"), results.Spread(0.1, 0.1, 0.1, 1))
        self.assertEqual(made.value("cell", "workpool", "ns"), results.Spread(20.0, 10.0, 30.0, 2))

    def test_a_mean_over_cells_needs_every_cell(self):
        made = results.Results({"a": {"workpool": [{"ns": 2.0}]}, "b": {"workpool": [{"ns": 8.0}]},
                                "c": {"workpool": [None]}}, {})
        self.assertAlmostEqual(made.mean_value(["a", "b"], "workpool", "ns"), 4.0)
        self.assertIsNone(made.mean_value(["a", "b", "c"], "workpool", "ns"))

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        condition = targets.Condition
        self.assertIs(targets.met([condition("", 1.0, 1.0)]), True)
        self.assertIs(targets.met([condition("", 1.1, 1.0), condition("", None, 1.0)]), False)
        self.assertIsNone(targets.met([condition("", 0.9, 1.0), condition("", None, 1.0)]))

    def test_every_target_is_a_row_even_with_nothing_measured(self):
        rows = targets.rows(results.Results({}, {}), {"workpool": "workpool"})
        self.assertEqual(len({row.name for row in rows}), len(rows))
        self.assertTrue(all(row.gate and row.goal for row in rows))
        self.assertEqual({targets.met(row.gate) for row in rows}, {None})

    def test_a_worse_cell_than_the_mutex_pool_fails_its_gate(self):
        def run(ours):
            made = {key: {"workpool": [{"ns_per_task": 50.0}], "mutex": [{"ns_per_task": 100.0}],
                          "tbb": [{"ns_per_task": 400.0}]} for key in cells.SUBMIT_KEYS}
            made["submit_p4_w2"]["workpool"] = [{"ns_per_task": ours}]
            names = dict.fromkeys(("workpool", "mutex", "tbb"), "x")
            return {row.name: row for row in targets.rows(results.Results(made, {}), names)}

        self.assertIs(targets.met(run(99.0)["submit, each cell (worst: p4 w2)"].gate), True)
        self.assertIs(targets.met(run(101.0)["submit, each cell (worst: p4 w2)"].gate), False)

    def test_a_latency_far_below_the_raw_futex_is_not_comparable_instead_of_met(self):
        def gate(ours):
            one = {"start_p50_us": ours, "trip_p50_us": ours}
            limit = {"start_p50_us": 20.0, "trip_p50_us": 20.0}
            made = {"latency": {"workpool": [one], "futex": [limit], "mutex": [limit]}}
            rows = targets.rows(results.Results(made, {}), dict.fromkeys(("workpool", "futex", "mutex"), "x"))
            return next(targets.met(r.gate) for r in rows if "placed by the kernel: start" in r.name)

        self.assertIsNone(gate(2.0))
        self.assertIs(gate(20.5), True)
        self.assertIs(gate(28.0), False)


HERE = os.path.dirname(os.path.abspath(__file__))


class Features(unittest.TestCase):
    GATED = {"should_stop": {"plain_ns": 1.2, "stoppable_ns": 1.9},
             "priority_queued_few": {"workpool_ns": 99.0, "mutex_ns": 100.0},
             "timers": {"pending_bytes": 96.0, "late_p99_us": 9000.0}}

    def gates(self, counts=(166, 124), **changes):
        """Whether the gates of the features hold, by the first word of their rows."""
        made = {cell: {"features": [{**figures, **changes.get(cell, {})}]} for cell, figures in self.GATED.items()}
        counted = {key: {"workpool": {"instructions": value}}
                   for key, value in zip(("instructions_submit", "instructions_tree"), counts)}
        rows = targets.rows(results.Results(made, counted), {"workpool": "workpool", "features": "features"})
        words = ("everything", "`pool_ctx_should_stop`,", "strict", "1,000,000")
        found = {row.name.split()[0]: targets.met(row.gate) for row in rows if row.name.split()[0] in words}
        self.assertEqual(set(found), set(words))
        return [found[word] for word in words]

    def test_the_gates_hold_at_their_limits(self):
        self.assertEqual(self.gates((176, 134), should_stop={"stoppable_ns": 2.0}, timers={"pending_bytes": 100.0},
                                    priority_queued_few={"workpool_ns": 100.0}), [True] * 4)

    def test_each_gate_fails_alone_beyond_its_limit(self):
        self.assertEqual(self.gates((177, 124)), [False, True, True, True])
        self.assertEqual(self.gates((166, 135)), [False, True, True, True])
        self.assertEqual(self.gates(should_stop={"plain_ns": 2.1}), [True, False, True, True])
        self.assertEqual(self.gates(should_stop={"stoppable_ns": 2.1}), [True, False, True, True])
        self.assertEqual(self.gates(priority_queued_few={"workpool_ns": 101.0}), [True, True, False, True])
        self.assertEqual(self.gates(timers={"pending_bytes": 101.0}), [True, True, True, False])

    def test_a_gate_of_two_figures_needs_both(self):
        self.assertEqual(self.gates(should_stop={"plain_ns": None}), [True, None, True, True])
        self.assertEqual(self.gates((166,)), [None, True, True, True])

    def test_the_two_priority_pools_are_compared_within_a_repetition(self):
        made = {"priority_queued_few": {"features": [{"workpool_ns": 90.0, "mutex_ns": 100.0}, None,
                                                     {"workpool_ns": 180.0, "mutex_ns": 200.0},
                                                     {"workpool_ns": 110.0, "mutex_ns": 100.0}]}}
        row = next(r for r in targets.rows(results.Results(made, {}), {}) if r.name.startswith("strict"))
        self.assertEqual(row.ratio, results.Spread(0.9, 0.9, 1.1, 3))

    def test_before_after_and_difference_of_the_instructions_are_printed(self):
        counts = {"instructions_submit": {"workpool": {"instructions": 169.4}}}
        lines = report.added_table(results.Results({}, counts)).splitlines()
        self.assertIn("(0.1.0)", lines[0])
        self.assertEqual(lines[2:], ["| submit | 166 | 169 | +3 |", "| child | 124 | – | – |"])

    def test_the_lines_of_a_process_become_a_row_of_the_table(self):
        words = ["printf", "without_bytes 17.49\\nwith_bytes 463\\nwithout_ns 50\\nwith_ns 150.4\\nwith_ratio 3.01\\n"]
        refused = {"without_ns": 20.0, "with_ns": 300.0, "with_ratio": 15.0}
        made = {"feature_done": {"features": [sample.finish(sample.start(words))]},
                "feature_rate_refused": {"features": [refused, None]}, "feature_group": {"features": [None]}}
        text = "\n\n".join(report.features_tables(results.Results(made, {})))
        self.assertIn("| done callback | 50.0 | 150 | 3.01 (3.01 … 3.01) | 17.5 | 463 |", text)
        self.assertIn("submits are refused | 20.0 | 300 | 15.0 (15.0 … 15.0) | – | – |", text)
        self.assertIn("| group | – | – | – | – | – |", text)
        self.assertEqual(report.features_tables(results.Results({}, {})), [])

    def test_every_feature_that_is_measured_has_a_name_and_the_reverse(self):
        with open(os.path.join(HERE, "features", "catalogue.h"), encoding="utf-8") as catalogue:
            keys = re.findall(r'^      \{"(\w+)"', catalogue.read(), re.M)
        self.assertEqual(sorted(keys), sorted(cells.FEATURES))
        self.assertGreater(len(keys), 30)

    def test_the_program_of_the_features_is_no_pool_in_the_tables(self):
        made = results.Results({"bulk": {"workpool": [{"ns_per_task": 1.0}]}}, {})
        self.assertNotIn("features", report.figures_table(made, {"workpool": "workpool", "features": "features"}))


class Session(unittest.TestCase):
    def session(self):
        arguments = types.SimpleNamespace(build="", quick=False, retries=2, keep_noisy=False, time_limit=60)
        return bench.Session(arguments, dict.fromkeys(("workpool", "tbb", "mutex")))

    def test_the_order_of_subjects_moves_on_with_each_repetition_and_cell(self):
        session, order = self.session(), []
        cell = cells.Cell("a", "submit", {}, ("workpool", "uv", "tbb", "mutex"))
        with mock.patch.object(session, "one", lambda c, subject: order.append(subject)):
            for number in range(3):
                session.repetition(number, [cell])
        self.assertEqual(order, ["workpool", "tbb", "mutex", "tbb", "mutex", "workpool", "mutex", "workpool", "tbb"])

    def test_a_disturbed_sample_is_taken_again_and_dropped_when_it_stays_so(self):
        tries = iter([({"ns": 1.0}, 0.5), ({"ns": 2.0}, None), *[({"ns": 3.0}, 0.5)] * 3])
        session, cell = self.session(), cells.Cell("a", "submit", {}, ("workpool",))
        with mock.patch.object(sample, "take", lambda words: next(tries)), \
                mock.patch.object(noise, "wait_for_quiet"), mock.patch.object(bench, "say"):
            session.one(cell, "workpool")
            session.one(cell, "workpool")
        self.assertEqual(session.samples, {"a": {"workpool": [{"ns": 2.0}, None]}})
        self.assertEqual((session.kept, session.repeated, session.dropped), (1, 3, 1))

    def test_a_process_that_fails_or_prints_nothing_usable_gives_no_sample(self):
        with self.assertRaisesRegex(sample.Failed, "ended with 1: wrong"):
            sample.finish(sample.start(["sh", "-c", "echo ns 5; echo wrong >&2; exit 1"]))
        self.assertEqual(sample.finish(sample.start(["sh", "-c", "echo ns 5"])), {"ns": 5.0})

    def test_others_may_use_a_twentieth_of_the_time(self):
        self.assertFalse(noise.is_noise(0.09, wall_s=2.0))
        self.assertTrue(noise.is_noise(0.11, wall_s=2.0))
        # Less than the clock of the kernel can tell.
        self.assertFalse(noise.is_noise(noise.BLUR_S, wall_s=0.01))


class Instructions(unittest.TestCase):
    def test_instructions_are_summed_by_address_without_the_cost_of_calls(self):
        lines = ["ob=(1) /bin/a", "fn=(1) f", "0x10 0 5", "+4 * 5", "cob=(2) /lib/b", "calls=5 0x90", "* 0 700",
                 "-4 0 1", "ob=(2)", "0x90 0 7"]
        self.assertEqual(instructions.executed(lines),
                         {("/bin/a", 0x10): 6, ("/bin/a", 0x14): 5, ("/lib/b", 0x90): 7})


class Document(unittest.TestCase):
    def test_text_outside_the_markers_is_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "performance.md")
            report.place(path, "first")
            with open(path, encoding="utf-8") as document:
                made = document.read()
            with open(path, "w", encoding="utf-8") as document:
                document.write("above\n" + made + "below\n")
            report.place(path, "second")
            with open(path, encoding="utf-8") as document:
                self.assertEqual(document.read(), "above\n" + made.replace("first", "second") + "below\n")


if __name__ == "__main__":
    unittest.main()
