"""The models, one file per paper. `MODELS` maps the public name of each to its class."""

from tfgen.models.adversarial.biggan import BigGAN
from tfgen.models.adversarial.dcgan import DCGAN
from tfgen.models.adversarial.ebgan import EBGAN
from tfgen.models.adversarial.gan import GAN
from tfgen.models.adversarial.improved_gan import ImprovedGAN
from tfgen.models.adversarial.infogan import InfoGAN
from tfgen.models.adversarial.progressive_gan import ProgressiveGAN
from tfgen.models.adversarial.sagan import SAGAN
from tfgen.models.adversarial.sngan import SNGAN
from tfgen.models.adversarial.ss_gan import SSGAN
from tfgen.models.adversarial.style_gan import StyleGAN
from tfgen.models.adversarial.wgan import WGAN
from tfgen.models.adversarial.wgan_gp import WGANGP
from tfgen.models.autoencoders.autoencoder import Autoencoder
from tfgen.models.autoencoders.dc_ign import DCIGN
from tfgen.models.autoencoders.dfc_vae import DFCVAE
from tfgen.models.autoencoders.draw import DRAW
from tfgen.models.autoencoders.glimpse_classifier import GlimpseClassifier
from tfgen.models.autoencoders.gmvae import GMVAE
from tfgen.models.autoencoders.vae import VAE
from tfgen.models.autoencoders.vae_gan import VAEGAN
from tfgen.models.autoregressive.gated_pixel_cnn import GatedPixelCNN
from tfgen.models.autoregressive.multi_scale_pixel_rnn import MultiScalePixelRNN
from tfgen.models.autoregressive.pixel_cnn import PixelCNN
from tfgen.models.autoregressive.pixel_cnn_autoencoder import PixelCNNAutoencoder
from tfgen.models.autoregressive.pixel_cnn_pp import PixelCNNPP
from tfgen.models.autoregressive.pixel_rnn import PixelRNN
from tfgen.models.base import TrainableModel
from tfgen.models.compression.factorized_prior import FactorizedPrior
from tfgen.models.compression.scale_hyperprior import ScaleHyperprior
from tfgen.models.synthesis.deepsim import DeePSiM
from tfgen.models.synthesis.dgn_am import DGNAM
from tfgen.models.synthesis.fractal_net import FractalNet
from tfgen.models.synthesis.igan import IGAN
from tfgen.models.synthesis.ppgn import PPGN, JointPPGN
from tfgen.models.translation.adain import AdaINStyleTransfer
from tfgen.models.translation.cycle_gan import CycleGAN
from tfgen.models.translation.fast_style_transfer import FastStyleTransfer
from tfgen.models.translation.pix2pix import Pix2Pix
from tfgen.models.translation.pix2pix_hd import Pix2PixHD
from tfgen.models.translation.stack_gan import StackGAN
from tfgen.models.translation.stack_gan_v2 import StackGANv2
from tfgen.models.translation.tvsn import TVSN
from tfgen.models.translation.vid2vid import Vid2Vid

MODELS = {
    cls.__name__: cls for cls in (
        VAE, GMVAE, Autoencoder, DFCVAE, VAEGAN, DRAW,
        GAN, DCGAN, EBGAN, ImprovedGAN, InfoGAN, SNGAN, SAGAN, SSGAN, BigGAN, ProgressiveGAN, StyleGAN, WGAN, WGANGP,
        PixelCNN, GatedPixelCNN, PixelCNNAutoencoder,
        PixelRNN, MultiScalePixelRNN, PixelCNNPP, FactorizedPrior, ScaleHyperprior, DCIGN,
        GlimpseClassifier, FractalNet,
        Pix2Pix, Pix2PixHD, Vid2Vid, CycleGAN, StackGAN, StackGANv2, AdaINStyleTransfer, FastStyleTransfer, TVSN,
        DeePSiM, DGNAM, PPGN, JointPPGN, IGAN,
    )
}  # fmt: skip

__all__ = ["MODELS", "TrainableModel", *MODELS]
