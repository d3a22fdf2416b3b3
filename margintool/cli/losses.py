"""`margintool losses`: the losses of `train`, from mmpo_core.losses."""


def losses_command() -> None:
    """List the losses of `margintool train` with their equations and sources.

    Example: margintool losses
    """
    from margintool.cli.train_summary import print_losses

    print_losses()
