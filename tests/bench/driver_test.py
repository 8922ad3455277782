"""The driver's own arithmetic: run it with python3 driver_test.py."""
import os
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
