"""The checks of each exercise: lesson_01 belongs to exercises/01_first_call.ipynb, and so on."""
