// Copyright 2019 The Tidewater Authors. All rights reserved.
// Use of this source code is governed by an MIT-style
// licence that can be found in the LICENSE file.

// Command serve answers requests for the height of the tide.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"strconv"
	"time"
)

type answer struct {
	Station string    `json:"station"`
	Time    time.Time `json:"time"`
	HeightM float64   `json:"height_m"`
}

func handle(w http.ResponseWriter, r *http.Request) {
	station := r.URL.Query().Get("station")
	hours, err := strconv.ParseFloat(r.URL.Query().Get("hours"), 64)
	if err != nil {
		http.Error(w, "hours must be a number", http.StatusBadRequest)
		return
	}
	height, ok := heightAt(station, hours)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer{station, time.Now().UTC(), height}); err != nil {
		log.Print(err)
	}
}

func main() {
	http.HandleFunc("/height", handle)
	log.Fatal(http.ListenAndServe(":8043", nil))
}
