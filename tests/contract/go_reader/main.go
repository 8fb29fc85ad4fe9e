// Reads what a log has signed and proved, with Go's own readers of such logs, and says what it makes of it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type evidence struct {
	Key         string            `json:"key"`
	Old         string            `json:"old"`
	New         string            `json:"new"`
	Leaf        []byte            `json:"leaf"`
	Index       int64             `json:"index"`
	Inclusion   [][]byte          `json:"inclusion"`
	Consistency [][]byte          `json:"consistency"`
	Tiles       map[string][]byte `json:"tiles"`
}

// A checkpoint's text is origin, size and root; tlog.ParseTree knows the origin of Go's own log alone.
func open(signed, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	// Heads have two lines more, which the format leaves to each log.
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func hashes(raw [][]byte) []tlog.Hash {
	var found []tlog.Hash
	for _, each := range raw {
		var hash tlog.Hash
		copy(hash[:], each)
		found = append(found, hash)
	}
	return found
}

type tiles map[string][]byte

func (held tiles) Height() int { return 8 }

func (held tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		data, ok := held[path]
		if !ok {
			return nil, fmt.Errorf("no tile %s", path)
		}
		found = append(found, data)
	}
	return found, nil
}

func (held tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func check(told evidence) error {
	newer, err := open(told.New, told.Key)
	if err != nil {
		return fmt.Errorf("newer checkpoint: %w", err)
	}
	leaf := tlog.RecordHash(told.Leaf)
	if err := tlog.CheckRecord(hashes(told.Inclusion), newer.N, newer.Hash, told.Index, leaf); err != nil {
		return fmt.Errorf("inclusion: %w", err)
	}
	if told.Old == "" {
		return nil
	}
	older, err := open(told.Old, told.Key)
	if err != nil {
		return fmt.Errorf("older checkpoint: %w", err)
	}
	if err := tlog.CheckTree(hashes(told.Consistency), newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	stored, err := tlog.TileHashReader(newer, tiles(told.Tiles)).ReadHashes([]int64{tlog.StoredHashIndex(0, told.Index)})
	if err != nil {
		return fmt.Errorf("tiles: %w", err)
	}
	if stored[0] != leaf {
		return errors.New("tiles: they hold another leaf")
	}
	return nil
}

func main() {
	var told evidence
	if err := json.NewDecoder(os.Stdin).Decode(&told); err != nil {
		panic(err)
	}
	if err := check(told); err != nil {
		fmt.Println("refused:", err)
		return
	}
	fmt.Println("accepted")
}
