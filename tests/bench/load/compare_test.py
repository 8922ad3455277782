"""The driver's own arithmetic, and what it makes of what a subject prints: run it with python3 compare_test.py."""
import json
import os
import sys
import tempfile
import unittest

import subjects
import table


def sample(**figures):
    return {**dict.fromkeys(subjects.FIGURES, 1.0), "dropped": 0, **figures}


class Tables(unittest.TestCase):
    def test_a_row_is_of_medians(self):
        runs = [sample(wait_p99_ms=1.0), sample(wait_p99_ms=9.0), sample(wait_p99_ms=2.5)]
        self.assertEqual(table.row("p", False, runs), "| p | 2.50 | 1.0 | 1.0 | 1.00 | 1 | 1.00 |")

    def test_a_run_that_failed_is_no_zero(self):
        runs = ["failed: no memory", sample(wait_p99_ms=4.0)]
        self.assertIn("| 4.00 |", table.row("p", True, runs))
        self.assertTrue(table.row("p", True, runs).startswith("| p † |"))

    def test_a_row_without_runs_says_why(self):
        self.assertEqual(table.row("Java cached", False, ["there is no java"]).count("|"), len(table.COLUMNS) + 2)
        self.assertIn("there is no java", table.row("Java cached", False, ["there is no java"]))
        self.assertIn("not run", table.row("p", False, []))

    def test_what_was_not_drained_is_only_a_lower_bound(self):
        row = table.row("p", False, [sample(dropped=7, wait_p99_ms=3.0)])
        self.assertIn("(7 left)", row)
        self.assertIn("≥ 3.00", row)

    def test_every_shape_has_a_table_and_every_subject_a_row(self):
        text = table.markdown({"ramp": "up", "burst": "at once"}, [("a", False), ("b", True)], {"ramp": {"a": [sample()]}})
        self.assertEqual(text.count("### "), 2)
        self.assertEqual(text.count("| a |"), 2)
        self.assertEqual(text.count("| b † |"), 2)


class Subjects(unittest.TestCase):
    def load(self, folder):
        return subjects.Load([], os.path.join(folder, "schedule"), 1, 1)

    def test_the_last_line_is_the_result(self):
        told = sample(wait_p99_ms=3.5)
        self.assertEqual(subjects.read_line("a warning\n" + json.dumps({**told, "peer": "x"}) + "\n"), told)

    def test_what_is_no_result_is_a_failure(self):
        for text in ("", "Segmentation fault", '{"tasks": 1}'):
            with self.assertRaises(subjects.Failed):
                subjects.read_line(text)

    def test_refused_tasks_of_a_saved_run_count_as_dropped(self):
        run = {"scheduled": 9, "dropped": 2, "refused": 3, "wait_ms": {"p99": 1.5}, "sojourn_ms": {"p99": 2},
               "workers": {"thread_s": 4, "most": 5}, "cpu_s": {"pool": 6}, "late_ms": {"p99": 7}}
        figures = subjects.read_saved({"runs": [run]})
        self.assertEqual((figures["tasks"], figures["dropped"], figures["wait_p99_ms"]), (9, 5, 1.5))
        self.assertEqual(set(figures), set(subjects.FIGURES))

    def test_a_subject_that_fails_or_is_not_there_raises(self):
        with tempfile.TemporaryDirectory() as folder:
            for words in ([sys.executable, "-c", "raise SystemExit(3)"], [os.path.join(folder, "none")]):
                with self.assertRaises(subjects.Failed):
                    subjects.run(subjects.replay("p", words), self.load(folder))

    def test_a_subject_gets_the_schedule_and_the_times(self):
        show = "import sys, json; json.dump(dict.fromkeys(%r.split(), 0) | {'peak': sys.argv[1:]}, sys.stdout)"
        words = [sys.executable, "-c", show % " ".join(subjects.FIGURES)]
        with tempfile.TemporaryDirectory() as folder:
            load = self.load(folder)
            got = subjects.run(subjects.replay("p", words, options=["--threads", "4"]), load)["peak"]
            self.assertEqual(got, [load.schedule, "--duration", "1", "--drain", "1", "--threads", "4"])

    def test_programs_that_are_not_built_are_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            found = {s.name: s for s in subjects.all_subjects(folder, "workpool", 2)}
        self.assertIn("not built", found["oneTBB 2"].missing)
        self.assertEqual(found["ants:1024 (its rules)"].missing, "")


if __name__ == "__main__":
    unittest.main()
