;;; almanac.el --- moonrise for the tide tables  -*- lexical-binding: t -*-

;; Copyright (C) 2018 The Tidewater Authors
;; Permission is granted under the terms of the MIT licence.

;;; Code:

(defconst almanac-synodic-month 29.530588
  "Mean number of days from one new moon to the next.")

(defun almanac-moon-age (day)
  "Return the age of the moon in days at DAY, counted from 6 January 2000."
  (let ((age (mod (- day 0.7597) almanac-synodic-month)))
    (if (< age 0) (+ age almanac-synodic-month) age)))

(defun almanac-springs-p (day)
  "Return non-nil if DAY is within two days of new or full moon."
  (let ((age (almanac-moon-age day)))
    (or (< age 2) (> age 27.5) (< (abs (- age 14.77)) 2))))

(provide 'almanac)
;;; almanac.el ends here
