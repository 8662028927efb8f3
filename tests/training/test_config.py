"""The configuration of a training, and the names its fields had."""

from pcrpose.training.config import TrainConfig, renamed


def test_the_names_of_version_0_1_0() -> None:
    """Each field of an old record comes under its present name; other entries stay."""
    old = {
        "accumulate": 2,
        "base_batch": 64,
        "checkpoint_every": 10,
        "encoder_rate": 0.5,
        "gradient_clip": 5.0,
        "log_every": 20,
        "max_broken": 3,
        "validate_every": 4,
        "epochs": 7,
    }

    assert TrainConfig(**renamed(old)) == TrainConfig(
        gradient_accumulation_steps=2,
        base_batch_size=64,
        checkpoint_every_steps=10,
        encoder_learning_rate_factor=0.5,
        max_grad_norm=5.0,
        log_every_steps=20,
        max_broken_images=3,
        validate_every_epochs=4,
        epochs=7,
    )
